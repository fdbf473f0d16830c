"""Heads, and the network of a backbone and a head."""
