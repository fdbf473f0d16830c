"""Figures: one function each, from a result to a matplotlib figure that belongs to nobody else."""
