"""Pooling of the tokens of the last map to one vector: the class token, the mean, or attention of a learned query."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.kernels.reference import attend, attention_logits, attention_weights
from gauss_vit.models.blocks import BlockConfig, make_mlp
from gauss_vit.models.layers import LayerNorm, Linear
from gauss_vit.models.tokens import repeated
from gauss_vit.ops.initializers import truncated_normal

Pool = Literal["token", "mean", "attention"]
"""Input of a head: the class token, the mean of the patches, or what a learned query reads of them."""


class AttentionPool(nnx.Module):
    """A learned query that attends to all patches, followed by an MLP with a residual connection.

    Parameters: `latent` [1, 1, width], `query` and `projection` [width, width], `key_value` [width, 2 width], `norm`,
    and `mlp`.

    Source: Zhai et al., Scaling Vision Transformers (CVPR 2022), section 3.2 (the MAP head), as in SigLIP; timm
    `AttentionPoolLatent`.
    """

    def __init__(self, config: BlockConfig, *, key: PRNGKeyArray):
        keys = jax.random.split(key, 5)
        width, start = config.attention.width, config.attention.start
        self.latent = nnx.Param(truncated_normal(keys[0], (1, 1, width), std=width**-0.5))
        self.query = Linear(width, width, start=start, key=keys[1])
        self.key_value = Linear(width, 2 * width, start=start, key=keys[2])
        self.projection = Linear(width, width, start=start, key=keys[3])
        self.norm = LayerNorm(width, epsilon=config.norm_epsilon)
        self.mlp = make_mlp(dataclasses.replace(config, mlp_norm=False), key=keys[4])
        self.num_heads = config.attention.num_heads

    def __call__(self, patches: Float[Array, "batch tokens channels"]) -> Float[Array, "batch channels"]:
        """Computes one vector for every image."""
        batch, tokens, width = patches.shape
        query = self.query(repeated(self.latent, patches)).reshape(batch, 1, self.num_heads, -1)
        joint = self.key_value(patches).reshape(batch, tokens, 2, self.num_heads, -1)
        logits = attention_logits(query, joint[:, :, 0], scale=query.shape[-1] ** -0.5)
        read = attend(attention_weights(logits), joint[:, :, 1])
        pooled = self.projection(read.reshape(batch, 1, width))
        return (pooled + self.mlp(self.norm(pooled)))[:, 0]


def pool_tokens(
    kind: Pool, tokens: Float[Array, "batch tokens channels"], *, prefix_tokens: int, reader: AttentionPool | None
) -> Float[Array, "batch channels"]:
    """Pools tokens to one vector for every image.

    Args:
      kind: What is pooled.
      tokens: Prefix tokens first, the class token before others, then the patches.
      prefix_tokens: Number of tokens before the patches.
      reader: Layer that "attention" needs.
    """
    if kind == "token":
        return tokens[:, 0]
    patches = tokens[:, prefix_tokens:]
    return jnp.mean(patches, axis=1) if reader is None else reader(patches)
