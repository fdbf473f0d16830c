"""The feature pyramid network: every map of a backbone's pyramid is given the meaning of the coarser ones."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.heads.pyramid import Maps
from gauss_vit.models.convolution import BiasedConvolution
from gauss_vit.ops.grid import Grid
from gauss_vit.ops.initializers import xavier_uniform
from gauss_vit.ops.map_resize import size_of


class FPN(nnx.Module):
    """Maps of equal width from the maps of a pyramid, and a coarser one: `laterals.<level>`, `smoothing.<level>`.

    Every map goes through a 1 x 1 convolution; then, from coarse to fine, the next coarser one is added to it, enlarged
    by nearest neighbours. Each sum is smoothed by a 3 x 3 convolution. One more map has every second row and column of
    the coarsest. There are neither normalisations nor activations.

    Source: Lin et al., Feature Pyramid Networks (CVPR 2017); MMDetection `FPN`.
    """

    def __init__(self, widths: Sequence[int], channels: int, *, key: PRNGKeyArray):
        lateral_key, smoothing_key = jax.random.split(key)
        self.laterals = nnx.Dict(_convolutions(widths, channels, size=1, key=lateral_key))
        self.smoothing = nnx.Dict(_convolutions([channels] * len(widths), channels, size=3, key=smoothing_key))

    def __call__(self, pyramid: Maps) -> Maps:
        """Computes the maps, the finest first, in the dtype of the pyramid's."""
        sums = [self.laterals[str(level)](maps) for level, maps in enumerate(pyramid)]
        for level in reversed(range(len(sums) - 1)):
            sums[level] = sums[level] + enlarged(sums[level + 1], size_of(sums[level]))
        smooth = [self.smoothing[str(level)](maps) for level, maps in enumerate(sums)]
        return (*smooth, smooth[-1][:, ::2, ::2])


def enlarged(
    maps: Float[Array, "batch half_rows half_columns channels"], size: Grid
) -> Float[Array, "batch rows columns channels"]:
    """Repeats every pixel twice along both axes.

    Args:
      maps: Maps with half the sides, rounded up.
      size: The (rows, columns) of the result.
    """
    rows, columns = size
    return jnp.repeat(jnp.repeat(maps, 2, axis=1), 2, axis=2)[:, :rows, :columns]


def _convolutions(
    widths: Sequence[int], channels: int, *, size: int, key: PRNGKeyArray
) -> dict[str, BiasedConvolution]:
    """Builds a convolution for each number of inputs, by level."""
    keys = jax.random.split(key, len(widths))
    return {
        str(level): BiasedConvolution(xavier_uniform(keys[level], (size, size, width, channels)))
        for level, width in enumerate(widths)
    }
