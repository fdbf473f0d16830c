"""The page of `report`: what it shows, how it is packed, and its HTML."""
