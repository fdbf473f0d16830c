"""Batch normalisation, with a backward pass that keeps its inputs and two numbers for each channel."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gauss_vit.ops.channels import sum_to_channels

Maps = Float[Array, "batch rows columns channels"]
Channels = Float[Array, " channels"]
Saved = tuple[Array, Array, Array, Array, Array]


def batch_norm(maps: Maps, scale: Channels, bias: Channels, *, epsilon: float) -> tuple[Maps, Channels, Channels]:
    """Normalises every channel to mean 0 and variance 1 over all pixels of the batch, then scales and shifts it.

    Statistics are float32, and those of the whole batch, however it is split over devices. There is no forward-mode
    derivative (`jax.jvp`).

    Returns:
      The maps in their type, and the mean and the biased variance of each channel, which have no gradient.

    Source: Ioffe and Szegedy, Batch Normalization (ICML 2015), algorithm 1; torch `SyncBatchNorm`.
    """
    outputs, mean, variance = _batch_norm(epsilon, maps, scale, bias)
    return outputs, jax.lax.stop_gradient(mean), jax.lax.stop_gradient(variance)


def normalize(
    maps: Maps, scale: Channels, bias: Channels, *, mean: Channels, variance: Channels, epsilon: float
) -> Maps:
    """Normalises by given statistics, such as running ones, in float32; the result has the type of the maps."""
    gain = scale * jax.lax.rsqrt(variance + epsilon)
    return _affine(maps, gain, bias - mean * gain)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _batch_norm(epsilon: float, maps: Maps, scale: Channels, bias: Channels) -> tuple[Maps, Channels, Channels]:
    return _forward(epsilon, maps, scale, bias)[0]


def _forward(
    epsilon: float, maps: Maps, scale: Channels, bias: Channels
) -> tuple[tuple[Maps, Channels, Channels], Saved]:
    count = maps.size // maps.shape[-1]
    mean = sum_to_channels(maps) / count
    centered = maps.astype(jnp.float32) - _spread(mean, maps)
    variance = sum_to_channels(jnp.square(centered)) / count
    rate = jax.lax.rsqrt(variance + epsilon)
    outputs = centered * _spread(rate * scale, maps) + _spread(bias, maps)
    return (outputs.astype(maps.dtype), mean, variance), (maps, mean, rate, scale, bias)


def _backward(
    epsilon: float, saved: Saved, cotangents: tuple[Maps, Channels, Channels]
) -> tuple[Maps, Channels, Channels]:
    """Subtracts from the cotangent of the normalised values its mean and its projection onto them."""
    del epsilon
    maps, mean, rate, scale, bias = saved
    count = maps.size // maps.shape[-1]
    normal = (maps.astype(jnp.float32) - _spread(mean, maps)) * _spread(rate, maps)
    outer = cotangents[0].astype(jnp.float32)
    to_scale, to_bias = sum_to_channels(outer * normal), sum_to_channels(outer)
    inner = outer - _spread(to_bias / count, maps) - normal * _spread(to_scale / count, maps)
    to_maps = inner * _spread(scale * rate, maps)
    return to_maps.astype(maps.dtype), to_scale.astype(scale.dtype), to_bias.astype(bias.dtype)


_batch_norm.defvjp(_forward, _backward)


@jax.custom_vjp
def _affine(maps: Maps, gain: Channels, shift: Channels) -> Maps:
    return (maps.astype(jnp.float32) * _spread(gain, maps) + _spread(shift, maps)).astype(maps.dtype)


def _affine_forward(maps: Maps, gain: Channels, shift: Channels) -> tuple[Maps, tuple[Array, Array]]:
    return _affine(maps, gain, shift), (maps, gain)


def _affine_backward(saved: tuple[Array, Array], cotangent: Maps) -> tuple[Maps, Channels, Channels]:
    maps, gain = saved
    outer = cotangent.astype(jnp.float32)
    to_maps = (outer * _spread(gain, maps)).astype(maps.dtype)
    return to_maps, sum_to_channels(outer * maps.astype(jnp.float32)), sum_to_channels(outer)


_affine.defvjp(_affine_forward, _affine_backward)


def _spread(values: Channels, maps: Maps) -> Maps:
    return jnp.broadcast_to(values.astype(jnp.float32), maps.shape)
