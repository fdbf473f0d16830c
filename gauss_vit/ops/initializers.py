"""Initialisers of parameters, with the distributions of timm and PyTorch."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray


def truncated_normal(key: PRNGKeyArray, shape: Sequence[int], *, std: float) -> Float[Array, "..."]:
    """Draws from a normal distribution cut at +-2, not at two standard deviations; float32.

    Source: `torch.nn.init.trunc_normal_`, timm's initialiser of linear layers and position embeddings (std 0.02).
    """
    if std == 0:
        return jnp.zeros(shape, jnp.float32)
    return jax.random.truncated_normal(key, -2 / std, 2 / std, tuple(shape), jnp.float32) * jnp.float32(std)


def fan_in_uniform(key: PRNGKeyArray, shape: Sequence[int], *, fan_in: int) -> Float[Array, "..."]:
    """Draws uniformly within +-1 / sqrt(fan_in), PyTorch's default for weights and biases of linear layers; float32."""
    limit = 1 / math.sqrt(fan_in)
    return jax.random.uniform(key, tuple(shape), jnp.float32, -limit, limit)


def normal(key: PRNGKeyArray, shape: Sequence[int], *, std: float) -> Float[Array, "..."]:
    """Draws from a normal distribution of mean 0; float32."""
    return jax.random.normal(key, tuple(shape), jnp.float32) * jnp.float32(std)


def kaiming_normal(key: PRNGKeyArray, shape: Sequence[int]) -> Float[Array, "height width inputs outputs"]:
    """Draws the kernel of a convolution before a ReLU: normal, of variance 2 / (height width outputs); float32.

    Source: He et al. (ICCV 2015), equation 14; mmcv's `ConvModule`, whose mode is "fan_out".
    """
    height, width, _, outputs = shape
    return normal(key, shape, std=math.sqrt(2 / (height * width * outputs)))


def xavier_uniform(key: PRNGKeyArray, shape: Sequence[int]) -> Float[Array, "..."]:
    """Draws the kernel of a dense layer or a convolution, uniform with variance 2 / (fan-in + fan-out); float32.

    Args:
      key: random key.
      shape: [..., inputs, outputs], after the sides of a convolution's kernel.

    Source: Glorot and Bengio (AISTATS 2010), equation 16; `torch.nn.init.xavier_uniform_`.
    """
    *sides, inputs, outputs = shape
    limit = math.sqrt(6 / (math.prod(sides) * (inputs + outputs)))
    return jax.random.uniform(key, tuple(shape), jnp.float32, -limit, limit)
