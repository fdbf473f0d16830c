"""Refinement of patches: the final tokens attend to each other once more, each head with its channels as they are.

  refined = softmax(x x^T / sqrt(channels of a head)) x

It has no parameters. Every place then gathers from those that look like it, so that a classifier of images that reads
their mean or the class token also trains the patches that a dense task will read.

Source: Hajimiri et al., Locality-Attending Vision Transformer (ICLR 2026, arXiv 2603.04892), section 4.2, and `PRR` of
its code, sinahmr/LocAtViT `models/locat.py`; timm's `AttentionPoolPrr` is of the same kind.
"""

import jax
from jaxtyping import Array, Float, Int

from gauss_vit.kernels.attention import attention
from gauss_vit.kernels.reference import attend, attention_logits, attention_weights
from gauss_vit.models.compute import Compute
from gauss_vit.ops.grid import Grid, num_patches


def refine(
    tokens: Float[Array, "batch tokens channels"], *, num_heads: int, grid: Grid, compute: Compute
) -> Float[Array, "batch tokens channels"]:
    """Refines all tokens.

    Args:
      tokens: Final tokens, normalised; prefix tokens first, then the patches row by row.
      num_heads: Number of groups of channels that attend by themselves.
      grid: The (height, width) of the patches.
      compute: Settings of the computation, whose kernel is used.
    """
    heads = tokens.reshape(*tokens.shape[:2], num_heads, -1)
    mixed = attention(
        heads,
        heads,
        heads,
        table=None,
        grid=grid,
        prefix_tokens=tokens.shape[1] - num_patches(grid),
        kernel=compute.kernel,
        platform=compute.platform,
    )
    return mixed.reshape(tokens.shape)


def refine_token(
    tokens: Float[Array, "batch tokens channels"], index: Int[Array, ""], *, num_heads: int
) -> Float[Array, "batch channels"]:
    """Refines one token, whose index counts prefix tokens; otherwise as `refine`."""
    heads = tokens.reshape(*tokens.shape[:2], num_heads, -1)
    query = jax.lax.dynamic_slice_in_dim(heads, index, 1, axis=1)
    logits = attention_logits(query, heads, scale=heads.shape[-1] ** -0.5)
    return attend(attention_weights(logits), heads).reshape(tokens.shape[0], -1)
