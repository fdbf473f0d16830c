"""Cross-covariance attention: the channels of a head attend to each other, over all tokens of an image."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.kernels.reference import pairs, tokens_first
from gauss_vit.ops.dropout import dropout
from gauss_vit.ops.einsum import einsum


def cross_covariance_attention(
    query: Float[Array, "batch tokens heads channels"],
    key: Float[Array, "batch tokens heads channels"],
    value: Float[Array, "batch tokens heads channels"],
    *,
    temperature: Float[Array, " heads"],
    dropout_rate: float = 0.0,
    dropout_key: PRNGKeyArray | None = None,
) -> Float[Array, "batch tokens heads channels"]:
    """Mixes the channels of every head by the softmax of their cosines; the cost is linear in the number of tokens.

      weights[c, d] = softmax over d of (temperature cos(query[:, c], key[:, d])),    output[n, c] = sum_d weights[c, d]
      value[n, d]

    The cosines are over the tokens. There are no logits between tokens, so that no position bias can be added to them.

    Args:
      query: Queries.
      key: Keys.
      value: Values.
      temperature: Factor of the cosines.
      dropout_rate: Dropout rate of the weights.
      dropout_key: Random key of the dropout; None means inference.

    Source: El-Nouby et al., XCiT (NeurIPS 2021), equation 2; timm `XCA`.
    """
    num_heads, channels = query.shape[2:]
    products = einsum("pnc,pnd->pcd", pairs(_unit(query)), pairs(_unit(key)), dtype=jnp.float32)
    cosines = products.reshape(-1, num_heads, channels, channels)
    logits = cosines * jnp.broadcast_to(temperature.astype(jnp.float32)[None, :, None, None], cosines.shape)
    weights = jax.nn.softmax(logits, axis=-1).astype(value.dtype)
    kept = dropout(weights, rate=dropout_rate, key=dropout_key)
    mixed = einsum("pcd,pnd->pnc", kept.reshape(products.shape), pairs(value))
    return tokens_first(mixed, num_heads=num_heads)


def _unit(values: Float[Array, "batch tokens heads channels"]) -> Float[Array, "batch tokens heads channels"]:
    """Divides every channel by its length over the tokens, at least 1e-12, as torch's `normalize` does."""
    wide = values.astype(jnp.float32)
    squared = jnp.sum(jnp.square(wide), axis=1, keepdims=True)
    # The maximum is taken before the root, so that the gradient at a channel of zeros is finite.
    return (wide * jnp.broadcast_to(jax.lax.rsqrt(jnp.maximum(squared, 1e-24)), wide.shape)).astype(values.dtype)
