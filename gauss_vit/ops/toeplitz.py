"""Toeplitz matrices from the numbers on their diagonals, by reshaping alone."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def toeplitz(diagonals: Float[Array, "*batch offsets"]) -> Float[Array, "*batch rows columns"]:
    """Expands `2 size - 1` numbers to the matrices `[i, j] = diagonals[i - j + size - 1]`.

    The numbers are repeated and sliced so that every row starts one later than the next; there is no gather, and so no
    scatter in the backward pass, which is a sum of reshaped cotangents in a fixed order.

    >>> toeplitz(jnp.arange(5.0)).tolist()
    [[2.0, 1.0, 0.0], [3.0, 2.0, 1.0], [4.0, 3.0, 2.0]]
    """
    *batch, offsets = diagonals.shape
    size = (offsets + 1) // 2
    repeated = jnp.broadcast_to(diagonals[..., None, ::-1], (*batch, size, offsets)).reshape(*batch, size * offsets)
    # Row i of [size, offsets - 1] starts i numbers earlier in its copy than row 0 does in its own.
    shifted = repeated[..., size - 1 : size - 1 + size * (offsets - 1)] if size > 1 else repeated
    return shifted.reshape(*batch, size, max(offsets - 1, 1))[..., :size]
