"""Attention on whole rows of logits, with its own backward pass: for a CPU and up to about a thousand tokens.

Against differentiating the specification it keeps one array of [batch, heads, query, key] from the forward pass, the
unnormalised weights in the type of the activations; divides the outputs, which are few, and not the weights, which are
many; and gives the bias its gradient as one sum over the batch.

Examples and heads are one leading axis, as in `kernels.reference`, and no product transposes a large operand.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gauss_vit.kernels.reference import add_to_logits, pairs, tokens_first
from gauss_vit.ops.einsum import einsum

Residuals = tuple[Array, Array, Array, Array, Array, Array]


@jax.custom_vjp
def attend_whole(
    query: Float[Array, "batch query heads channels"],
    key: Float[Array, "batch key heads channels"],
    value: Float[Array, "batch key heads channels"],
    bias: Float[Array, "#heads query key"] | None = None,
    mask: Float[Array, "windows query key"] | None = None,
) -> Float[Array, "batch query heads channels"]:
    """Computes softmax(query key^T + bias + mask) value, the softmax in float32, products in the type of the operands.

    It has no forward-mode derivative (`jax.jvp`).

    Args:
      query: queries, scaled already.
      key: keys.
      value: values.
      bias: logits of every pair of tokens, the same for the whole batch.
      mask: constant logits of every window; the batch is images by windows, windows fastest.
    """
    return _forward(query, key, value, bias, mask)[0]


def _forward(
    query: Float[Array, "batch query heads channels"],
    key: Float[Array, "batch key heads channels"],
    value: Float[Array, "batch key heads channels"],
    bias: Float[Array, "#heads query key"] | None,
    mask: Float[Array, "windows query key"] | None,
) -> tuple[Float[Array, "batch query heads channels"], Residuals]:
    num_heads = query.shape[2]
    keys, values = pairs(key), pairs(value)
    logits = einsum("pqc,pkc->pqk", pairs(query), keys, dtype=jnp.float32)
    logits = add_to_logits(logits.reshape(-1, num_heads, *logits.shape[1:]), bias, mask).reshape(logits.shape)
    largest = jax.lax.stop_gradient(jnp.max(logits, axis=-1, keepdims=True))
    weights = jnp.exp(logits - jnp.broadcast_to(largest, logits.shape))
    total = jnp.sum(weights, axis=-1, keepdims=True)
    weights = weights.astype(value.dtype)
    mixed = einsum("pqk,pkc->pqc", weights, values, dtype=jnp.float32)
    mixed = (mixed / jnp.broadcast_to(total, mixed.shape)).astype(value.dtype)
    outputs = tokens_first(mixed, num_heads=num_heads)
    return outputs, (query, keys, values, weights, total, mixed)


def _forward_with_bias(
    query: Float[Array, "batch query heads channels"],
    key: Float[Array, "batch key heads channels"],
    value: Float[Array, "batch key heads channels"],
    bias: Float[Array, "#heads query key"] | None,
    mask: Float[Array, "windows query key"] | None,
) -> tuple[Float[Array, "batch query heads channels"], tuple[Residuals, Array | None]]:
    outputs, residuals = _forward(query, key, value, bias, mask)
    return outputs, (residuals, bias)


def _backward(
    saved: tuple[Residuals, Float[Array, "#heads query key"] | None],
    cotangent: Float[Array, "batch query heads channels"],
) -> tuple[Array, Array, Array, Array | None, None]:
    (query, keys, values, weights, total, mixed), bias = saved
    num_heads = query.shape[2]
    outer = pairs(cotangent).astype(jnp.float32)
    outer = outer / jnp.broadcast_to(total, outer.shape)
    along = jnp.sum(outer * mixed.astype(jnp.float32), axis=-1, keepdims=True)
    outer = outer.astype(values.dtype)
    to_weights = einsum("pqc,pkc->pqk", outer, values, dtype=jnp.float32)
    to_logits = weights.astype(jnp.float32) * (to_weights - jnp.broadcast_to(along, to_weights.shape))
    narrow = to_logits.astype(query.dtype)
    to_query = einsum("pqk,pkc->pqc", narrow, keys)
    to_key = einsum("pcq,pqk->pck", _pairs_channels_first(query), narrow)
    to_value = einsum("pcq,pqk->pck", _pairs_channels_first(tokens_first(outer, num_heads=num_heads)), weights)
    return (
        tokens_first(to_query, num_heads=num_heads),
        _channels_last(to_key, num_heads=num_heads),
        _channels_last(to_value, num_heads=num_heads),
        None if bias is None else sum_to_bias(to_logits.reshape(-1, num_heads, *to_logits.shape[1:]), bias),
        None,
    )


attend_whole.defvjp(_forward_with_bias, _backward)


def sum_to_bias(
    to_logits: Float[Array, "batch heads query key"], bias: Float[Array, "#heads query key"]
) -> Float[Array, "#heads query key"]:
    """Sums the gradient of logits to that of a bias, over the batch and, where they share it, over the heads."""
    summed = jnp.sum(to_logits, axis=0)
    if bias.shape[0] == 1:
        summed = jnp.sum(summed, axis=0, keepdims=True)
    return summed.astype(bias.dtype)


def _pairs_channels_first(values: Float[Array, "batch tokens heads channels"]) -> Float[Array, "pairs channels tokens"]:
    """Moves heads and channels before tokens, and merges the heads with the batch."""
    return jnp.transpose(values, (0, 2, 3, 1)).reshape(-1, values.shape[3], values.shape[1])


def _channels_last(
    values: Float[Array, "pairs channels tokens"], *, num_heads: int
) -> Float[Array, "batch tokens heads channels"]:
    """Reverses `_pairs_channels_first`."""
    return jnp.transpose(values.reshape(-1, num_heads, *values.shape[1:]), (0, 3, 1, 2))
