"""Figures: one function each, from a result to a new matplotlib figure, without pyplot's global state."""
