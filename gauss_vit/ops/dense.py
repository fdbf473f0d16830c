"""Dense layers and their normalisation as functions of arrays.

Activations keep their type: in bfloat16 every product is bfloat16 to bfloat16 (a float32 result would make both
products of the backward pass float32), while the statistics of a normalisation are float32.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gauss_vit.ops.contract import contract


def dense(
    inputs: Float[Array, "*batch inputs"],
    kernel: Float[Array, "inputs outputs"],
    bias: Float[Array, " outputs"] | None = None,
) -> Float[Array, "*batch outputs"]:
    """Computes `inputs kernel + bias` in the type of the inputs."""
    flat = inputs.reshape(-1, inputs.shape[-1])
    outputs = contract("mk,kn->mn", flat, kernel).reshape(*inputs.shape[:-1], kernel.shape[-1])
    if bias is None:
        return outputs
    return outputs + jnp.broadcast_to(bias.astype(inputs.dtype), outputs.shape)


def layer_norm(
    inputs: Float[Array, "*batch channels"],
    scale: Float[Array, " channels"],
    bias: Float[Array, " channels"],
    *,
    epsilon: float,
) -> Float[Array, "*batch channels"]:
    """Brings every vector of channels to mean 0 and variance 1, then scales and shifts it; statistics in float32."""
    values = inputs.astype(jnp.float32)
    centered = values - jnp.mean(values, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(centered), axis=-1, keepdims=True)
    normal = centered * jax.lax.rsqrt(variance + epsilon)
    shape = values.shape
    outputs = normal * jnp.broadcast_to(scale.astype(jnp.float32), shape) + jnp.broadcast_to(
        bias.astype(jnp.float32), shape
    )
    return outputs.astype(inputs.dtype)
