"""Weights in and out: other projects' names and formats, resampled positions, baked tables, interventions."""
