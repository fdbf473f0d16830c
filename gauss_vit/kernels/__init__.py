"""Attention with an additive position bias: the specification and faster ways to compute it."""
