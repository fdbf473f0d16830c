"""Checkpoints: written, verified, restored and retained."""
