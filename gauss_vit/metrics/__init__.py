"""Metrics as sums that can be merged."""
