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
