"""Shifts and gains of the channels, whose gradients are sums in float32.

Differentiating a broadcast sums its cotangent in the type of the activations: in bfloat16 that loses digits over
thousands of tokens, and is slow on CPUs. There are no forward-mode derivatives (`jax.jvp`).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@jax.custom_vjp
def shift_channels(values: Float[Array, "... channels"], shift: Float[Array, " channels"]) -> Float[Array, "..."]:
    """Adds one number to each channel, in the type of the values."""
    return values + jnp.broadcast_to(shift.astype(values.dtype), values.shape)


def _shift_forward(
    values: Float[Array, "... channels"], shift: Float[Array, " channels"]
) -> tuple[Float[Array, "..."], Float[Array, " channels"]]:
    return shift_channels(values, shift), shift


def _shift_backward(
    shift: Float[Array, " channels"], cotangent: Float[Array, "... channels"]
) -> tuple[Float[Array, "..."], Float[Array, " channels"]]:
    return cotangent, sum_to_channels(cotangent).astype(shift.dtype)


shift_channels.defvjp(_shift_forward, _shift_backward)


@jax.custom_vjp
def scale_channels(values: Float[Array, "... channels"], gain: Float[Array, " channels"]) -> Float[Array, "..."]:
    """Multiplies each channel by one number, in the type of the values."""
    return values * jnp.broadcast_to(gain.astype(values.dtype), values.shape)


def _scale_forward(
    values: Float[Array, "... channels"], gain: Float[Array, " channels"]
) -> tuple[Float[Array, "..."], tuple[Array, Array]]:
    return scale_channels(values, gain), (values, gain)


def _scale_backward(
    saved: tuple[Array, Array], cotangent: Float[Array, "... channels"]
) -> tuple[Float[Array, "..."], Float[Array, " channels"]]:
    values, gain = saved
    to_gain = sum_to_channels(cotangent.astype(jnp.float32) * values.astype(jnp.float32))
    return scale_channels(cotangent, gain), to_gain.astype(gain.dtype)


scale_channels.defvjp(_scale_forward, _scale_backward)


def sum_to_channels(values: Float[Array, "... channels"]) -> Float[Array, " channels"]:
    """Sums all vectors of channels, in float32."""
    return jnp.sum(values.reshape(-1, values.shape[-1]).astype(jnp.float32), axis=0)
