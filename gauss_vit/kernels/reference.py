"""Attention with an additive bias, written out: the specification of every faster kernel.

Examples and heads are one leading axis, "pairs", which makes the products plain ones of matrices. XLA:CPU has fast
products, in bfloat16 above all, for these only, and fuses a transposition that only changes a layout into the product;
merging the axes makes it a copy.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.ops.dropout import dropout
from gauss_vit.ops.einsum import einsum


class HeadMixing(NamedTuple):
    """Linear maps over the heads of the logits and of the weights: talking heads. Products are in the kernels' type.

    Attributes:
      logits_kernel: [heads, heads], from head to head.
      logits_bias: [heads].
      weights_kernel: [heads, heads], from head to head.
      weights_bias: [heads].

    Source: Shazeer et al., Talking-Heads Attention (arXiv 2003.02436); Touvron et al., CaiT (ICCV 2021).
    """

    logits_kernel: Float[Array, "heads heads"]
    logits_bias: Float[Array, " heads"]
    weights_kernel: Float[Array, "heads heads"]
    weights_bias: Float[Array, " heads"]


def attention_logits(
    query: Float[Array, "batch query heads channels"],
    key: Float[Array, "batch key heads channels"],
    *,
    scale: float,
    bias: Float[Array, "#heads query key"] | None = None,
    mask: Float[Array, "windows query key"] | None = None,
    gaussians: Float[Array, "batch heads query key"] | None = None,
) -> Float[Array, "batch heads query key"]:
    """Computes `scale query key^T + bias + mask + gaussians` in float32; nothing but the product is scaled.

    Args:
      query: queries.
      key: keys.
      scale: 1 / sqrt(channels), usually.
      bias: logits of every pair of tokens, the same for the whole batch.
      mask: logits of every window; the batch is images by windows, windows fastest.
      gaussians: logits of every pair of tokens of every example, see `position.query_gaussian`.

    Source: Kim et al., BMVC 2023, equation 2, with the width of a head for D as in every implementation.
    """
    scaled = query * jnp.asarray(scale, query.dtype)
    products = einsum("pqc,pkc->pqk", pairs(scaled), pairs(key), dtype=jnp.float32)
    logits = add_to_logits(products.reshape(-1, query.shape[2], *products.shape[1:]), bias, mask)
    return logits if gaussians is None else logits + gaussians


def add_to_logits(
    logits: Float[Array, "batch heads query key"],
    bias: Float[Array, "#heads query key"] | None,
    mask: Float[Array, "windows query key"] | None,
) -> Float[Array, "batch heads query key"]:
    """Adds the bias of all examples, then the mask of every window; their sum would be a large array."""
    if bias is not None:
        logits = logits + jnp.broadcast_to(bias.astype(jnp.float32)[None], logits.shape)
    if mask is not None:
        split = logits.reshape(-1, mask.shape[0], *logits.shape[1:])
        logits = (split + jnp.broadcast_to(mask.astype(jnp.float32)[None, :, None], split.shape)).reshape(logits.shape)
    return logits


def attention_weights(
    logits: Float[Array, "batch heads query key"], mixing: HeadMixing | None = None
) -> Float[Array, "batch heads query key"]:
    """Computes the softmax over the keys, in float32; heads are mixed before and after it."""
    if mixing is None:
        return jax.nn.softmax(logits, axis=-1)
    weights = jax.nn.softmax(_mix(logits, mixing.logits_kernel, mixing.logits_bias), axis=-1)
    return _mix(weights, mixing.weights_kernel, mixing.weights_bias)


def attend(
    weights: Float[Array, "batch heads query key"],
    value: Float[Array, "batch key heads channels"],
    *,
    dropout_rate: float = 0.0,
    dropout_key: PRNGKeyArray | None = None,
) -> Float[Array, "batch query heads channels"]:
    """Sums the values, weighted, in the type of the values."""
    kept = dropout(weights.astype(value.dtype), rate=dropout_rate, key=dropout_key)
    mixed = einsum("pqk,pkc->pqc", kept.reshape(-1, *kept.shape[2:]), pairs(value))
    return tokens_first(mixed, num_heads=value.shape[2])


def _mix(
    values: Float[Array, "batch heads query key"], kernel: Float[Array, "heads heads"], bias: Float[Array, " heads"]
) -> Float[Array, "batch heads query key"]:
    mixed = einsum("bhqk,hg->bgqk", values.astype(kernel.dtype), kernel, dtype=jnp.float32)
    return mixed + jnp.broadcast_to(bias.astype(jnp.float32)[None, :, None, None], mixed.shape)


def pairs(values: Float[Array, "batch tokens heads channels"]) -> Float[Array, "pairs tokens channels"]:
    """Moves heads before tokens, and merges them with the batch."""
    return jnp.transpose(values, (0, 2, 1, 3)).reshape(-1, values.shape[1], values.shape[3])


def tokens_first(
    values: Float[Array, "pairs tokens channels"], *, num_heads: int
) -> Float[Array, "batch tokens heads channels"]:
    """Reverses `pairs`."""
    return jnp.transpose(values.reshape(-1, num_heads, *values.shape[1:]), (0, 2, 1, 3))
