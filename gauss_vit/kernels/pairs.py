"""Examples and heads as one leading axis, "pairs": what makes the products of attention plain ones of matrices.

XLA:CPU has fast products, in bfloat16 above all, for plain matrices only, and takes a transposition that is a mere
matter of layout into the product. Merging the axes makes it one of memory.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float


def pairs(values: Float[Array, "batch tokens heads channels"]) -> Float[Array, "pairs tokens channels"]:
    """Brings heads before tokens, and joins them with the batch."""
    return jnp.transpose(values, (0, 2, 1, 3)).reshape(-1, values.shape[1], values.shape[3])


def tokens_first(
    values: Float[Array, "pairs tokens channels"], *, num_heads: int
) -> Float[Array, "batch tokens heads channels"]:
    """Undoes `pairs`."""
    return jnp.transpose(values.reshape(-1, num_heads, *values.shape[1:]), (0, 2, 1, 3))


def pairs_channels_first(values: Float[Array, "batch tokens heads channels"]) -> Float[Array, "pairs channels tokens"]:
    """Brings heads and channels before tokens, and joins the heads with the batch."""
    return jnp.transpose(values, (0, 2, 3, 1)).reshape(-1, values.shape[3], values.shape[1])


def channels_last(
    values: Float[Array, "pairs channels tokens"], *, num_heads: int
) -> Float[Array, "batch tokens heads channels"]:
    """Undoes `pairs_channels_first`."""
    return jnp.transpose(values.reshape(-1, num_heads, *values.shape[1:]), (0, 3, 1, 2))
