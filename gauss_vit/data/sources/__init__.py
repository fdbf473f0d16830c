"""Data sets as sources of examples, addressed by index."""
