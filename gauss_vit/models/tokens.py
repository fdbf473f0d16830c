"""Patch embeddings and learned tokens."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.models.layers import Linear
from gauss_vit.ops.grid import Grid, num_patches


def patch_embedding(patch_size: Grid, width: int, *, key: PRNGKeyArray) -> Linear:
    """Draws the linear map from a patch to `width` channels, with PyTorch's default initialiser, as in timm."""
    return Linear(3 * num_patches(patch_size), width, start="fan_in_uniform", key=key)


def learned_token(width: int, *, key: PRNGKeyArray) -> nnx.Param:
    """Draws a learned token [1, 1, width] from a normal distribution of standard deviation 1e-6, as in timm."""
    return nnx.Param(jax.random.normal(key, (1, 1, width), jnp.float32) * jnp.float32(1e-6))


def repeated(token: nnx.Param, tokens: Float[Array, "batch tokens channels"]) -> Float[Array, "batch 1 channels"]:
    """Repeats a learned token for every example, in the dtype of the tokens."""
    return jnp.broadcast_to(token[...].astype(tokens.dtype), (tokens.shape[0], 1, tokens.shape[2]))
