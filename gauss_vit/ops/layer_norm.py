"""Layer normalisation, with a backward pass that keeps its inputs and two numbers for each token."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gauss_vit.ops.channels import sum_to_channels

Values = Float[Array, "*batch channels"]
Channels = Float[Array, " channels"]
Saved = tuple[Array, Array, Array, Array, Array]


def layer_norm(inputs: Values, scale: Channels, bias: Channels, *, epsilon: float) -> Values:
    """Normalises every vector of channels to mean 0 and variance 1, then scales and shifts it; statistics in float32.

    It has no forward-mode derivative (`jax.jvp`).

    Source: Ba et al., Layer Normalization (arXiv 1607.06450), equation 4.
    """
    return _layer_norm(epsilon, inputs, scale, bias)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _layer_norm(epsilon: float, inputs: Values, scale: Channels, bias: Channels) -> Values:
    return _forward(epsilon, inputs, scale, bias)[0]


def _forward(epsilon: float, inputs: Values, scale: Channels, bias: Channels) -> tuple[Values, Saved]:
    values = inputs.astype(jnp.float32)
    mean = jnp.mean(values, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(values - mean), axis=-1, keepdims=True)
    rate = jax.lax.rsqrt(variance + epsilon)
    normal = (values - mean) * rate
    scaled = normal * jnp.broadcast_to(scale.astype(jnp.float32), normal.shape)
    outputs = scaled + jnp.broadcast_to(bias.astype(jnp.float32), normal.shape)
    return outputs.astype(inputs.dtype), (inputs, mean, rate, scale, bias)


def _backward(epsilon: float, saved: Saved, cotangent: Values) -> tuple[Values, Channels, Channels]:
    """Subtracts from the cotangent of the normalised values its mean and its projection onto them."""
    del epsilon
    inputs, mean, rate, scale, bias = saved
    normal = (inputs.astype(jnp.float32) - mean) * rate
    outer = cotangent.astype(jnp.float32)
    to_normal = outer * jnp.broadcast_to(scale.astype(jnp.float32), outer.shape)
    along = jnp.mean(to_normal * normal, axis=-1, keepdims=True)
    to_inputs = rate * (to_normal - jnp.mean(to_normal, axis=-1, keepdims=True) - normal * along)
    to_scale, to_bias = sum_to_channels(outer * normal), sum_to_channels(outer)
    return to_inputs.astype(inputs.dtype), to_scale.astype(scale.dtype), to_bias.astype(bias.dtype)


_layer_norm.defvjp(_forward, _backward)
