"""Dropout of units, of channels and of whole residual branches; without a key nothing is dropped."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray


def split_key(key: PRNGKeyArray | None, num: int) -> list[PRNGKeyArray | None]:
    """Splits a key into `num`; None gives as many Nones.

    With JAX's default setting of threefry they are the keys of `jax.random.split`, but each is computed separately:
    under `jit`, keys that are not used are not computed.
    """
    return [None] * num if key is None else [jax.random.fold_in(key, index) for index in range(num)]


def dropout(inputs: Float[Array, "..."], *, rate: float, key: PRNGKeyArray | None) -> Float[Array, "..."]:
    """Zeroes each value with probability `rate` and divides the rest by `1 - rate`; `key=None` means inference."""
    if key is None or rate == 0:
        return inputs
    kept = jax.random.bernoulli(key, 1 - rate, inputs.shape)
    return jnp.where(kept, inputs / jnp.asarray(1 - rate, inputs.dtype), jnp.zeros((), inputs.dtype))


def dropout_channels(
    maps: Float[Array, "batch rows columns channels"], *, rate: float, key: PRNGKeyArray | None
) -> Float[Array, "batch rows columns channels"]:
    """Zeroes whole channels of an example with probability `rate` and divides the rest by `1 - rate`.

    Source: Tompson et al., Efficient Object Localization Using Convolutional Networks (CVPR 2015); torch `Dropout2d`.
    """
    if key is None or rate == 0:
        return maps
    kept = jax.random.bernoulli(key, 1 - rate, (maps.shape[0], 1, 1, maps.shape[3]))
    gain = jnp.where(kept, 1 / (1 - rate), 0).astype(maps.dtype)
    return maps * jnp.broadcast_to(gain, maps.shape)


def stochastic_depth(
    branch: Float[Array, "batch tokens channels"], *, rate: Float[Array, ""], key: PRNGKeyArray | None
) -> Float[Array, "batch tokens channels"]:
    """Drops the branch of whole examples with probability `rate` and divides the rest by `1 - rate`.

    Source: Huang et al., Deep Networks with Stochastic Depth (ECCV 2016); timm `DropPath`.
    """
    if key is None:
        return branch
    kept = jax.random.bernoulli(key, 1 - rate, (branch.shape[0], 1, 1))
    gain = jnp.where(kept, 1 / (1 - rate), 0).astype(branch.dtype)
    return branch * jnp.broadcast_to(gain, branch.shape)
