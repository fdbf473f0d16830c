"""From data sets on a disk to batches in memory: host side, NumPy, addressed by index."""
