"""Nonlinearities between dense layers."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_ROOT_HALF = math.sqrt(0.5)
_DENSITY = 1 / math.sqrt(2 * math.pi)


@jax.custom_vjp
def gelu(inputs: Float[Array, "*values"]) -> Float[Array, "*values"]:
    """Computes the exact GELU, x Phi(x) with the normal distribution Phi, in float32; the result has the input's type.

    Its backward pass keeps only the inputs and is one elementwise pass; `jax.nn.gelu` keeps intermediate values.
    It has no forward-mode derivative (`jax.jvp`).

    Source: Hendrycks and Gimpel, Gaussian Error Linear Units (arXiv 1606.08415), section 2; torch's default `GELU`.

    >>> [round(value, 3) for value in gelu(jnp.array([-1.0, 0.0, 1.0])).tolist()]
    [-0.159, 0.0, 0.841]
    """
    values = inputs.astype(jnp.float32)
    return (values * _distribution(values)).astype(inputs.dtype)


def _distribution(values: Float[Array, "*values"]) -> Float[Array, "*values"]:
    """Computes Phi, the cumulative distribution."""
    return 0.5 + 0.5 * jax.lax.erf(values * _ROOT_HALF)


def _forward(inputs: Float[Array, "*values"]) -> tuple[Float[Array, "*values"], Float[Array, "*values"]]:
    return gelu(inputs), inputs


def _backward(inputs: Float[Array, "*values"], cotangent: Float[Array, "*values"]) -> tuple[Float[Array, "*values"]]:
    # The barrier keeps XLA from sharing the forward pass's distribution, which would be stored for it.
    values = jax.lax.optimization_barrier(inputs).astype(jnp.float32)
    slope = _distribution(values) + values * _DENSITY * jnp.exp(-0.5 * jnp.square(values))
    return ((cotangent.astype(jnp.float32) * slope).astype(inputs.dtype),)


gelu.defvjp(_forward, _backward)


def gelu_tanh(inputs: Float[Array, "*values"]) -> Float[Array, "*values"]:
    """Computes GELU's approximation by tanh, in float32; the result has the input's type.

    Source: Hendrycks and Gimpel (arXiv 1606.08415), section 2; torch's `GELU(approximate="tanh")`.

    >>> [round(value, 3) for value in gelu_tanh(jnp.array([-1.0, 0.0, 1.0])).tolist()]
    [-0.159, 0.0, 0.841]
    """
    values = inputs.astype(jnp.float32)
    inner = math.sqrt(2 / math.pi) * (values + 0.044715 * values * values * values)
    return (0.5 * values * (1 + jnp.tanh(inner))).astype(inputs.dtype)


def quick_gelu(inputs: Float[Array, "*values"]) -> Float[Array, "*values"]:
    """Computes x sigmoid(1.702 x) in float32; the result has the input's type.

    Source: Hendrycks and Gimpel (arXiv 1606.08415), section 2; the image towers of OpenAI's CLIP.

    >>> [round(value, 3) for value in quick_gelu(jnp.array([-1.0, 0.0, 1.0])).tolist()]
    [-0.154, 0.0, 0.846]
    """
    values = inputs.astype(jnp.float32)
    return (values * jax.nn.sigmoid(1.702 * values)).astype(inputs.dtype)


def silu(inputs: Float[Array, "*values"]) -> Float[Array, "*values"]:
    """Computes x sigmoid(x) in float32; the result has the input's type.

    Source: Hendrycks and Gimpel (arXiv 1606.08415), section 4.

    >>> [round(value, 3) for value in silu(jnp.array([-1.0, 0.0, 1.0])).tolist()]
    [-0.269, 0.0, 0.731]
    """
    values = inputs.astype(jnp.float32)
    return (values * jax.nn.sigmoid(values)).astype(inputs.dtype)
