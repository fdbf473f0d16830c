"""A run: optimizer, mesh, state, step, loop, checkpoints and reports."""
