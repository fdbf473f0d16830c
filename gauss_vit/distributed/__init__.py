"""The processes of one run: how they find each other, and what they tell each other."""
