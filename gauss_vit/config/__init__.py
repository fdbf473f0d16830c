"""Config values from files and flags, and as JSON."""
