"""Attention with an additive bias, written out: the specification of every faster kernel."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.ops.dropout import dropout


def attention_logits(
    query: Float[Array, "batch query heads channels"],
    key: Float[Array, "batch key heads channels"],
    bias: Float[Array, "#heads query key"] | None,
) -> Float[Array, "batch heads query key"]:
    """Computes `query key^T / sqrt(channels) + bias` in float32; the bias is not scaled.

    Source: Kim et al., BMVC 2023, equation 2, with the width of a head for D as in every implementation.
    """
    scaled = query * jnp.asarray(query.shape[-1] ** -0.5, query.dtype)
    logits = jnp.einsum("bqhc,bkhc->bhqk", scaled, key).astype(jnp.float32)
    if bias is None:
        return logits
    return logits + jnp.broadcast_to(bias.astype(jnp.float32)[None], logits.shape)


def attend(
    logits: Float[Array, "batch heads query key"],
    value: Float[Array, "batch key heads channels"],
    *,
    dropout_rate: float = 0.0,
    dropout_key: PRNGKeyArray | None = None,
) -> Float[Array, "batch query heads channels"]:
    """Averages the values with the softmax of the logits; statistics in float32, products in the type of the values."""
    weights = jax.nn.softmax(logits, axis=-1).astype(value.dtype)
    weights = dropout(weights, rate=dropout_rate, key=dropout_key)
    return jnp.einsum("bhqk,bkhc->bqhc", weights, value)
