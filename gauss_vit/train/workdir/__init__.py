"""A run's folder: its lock, its records and its logs."""
