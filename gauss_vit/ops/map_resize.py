"""Adaptive pooling and bilinear resizing of feature maps to any size, as PyTorch computes them.

Both are linear and separable: one matrix [target, source] for rows and one for columns.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gauss_vit.ops.einsum import einsum
from gauss_vit.ops.grid import Grid


def adaptive_average_pool(
    maps: Float[Array, "batch rows columns channels"], target: Grid
) -> Float[Array, "batch target_rows target_columns channels"]:
    """Averages the cells of a target grid, which may be larger than the map; the sums are float32 at least.

    Args:
      maps: Feature maps.
      target: The (height, width) of the result.

    Source: torch `adaptive_avg_pool2d`.
    """
    return _apply(maps, averaging_matrix(maps.shape[1], target[0]), averaging_matrix(maps.shape[2], target[1]))


def bilinear_resize(
    maps: Float[Array, "batch rows columns channels"], target: Grid
) -> Float[Array, "batch target_rows target_columns channels"]:
    """Interpolates between the four nearest samples, without antialiasing; corners are not aligned.

    Args:
      maps: Feature maps, logits or images.
      target: The (height, width) of the result; maps of that size are returned as they are.

    Source: torch `interpolate(mode="bilinear", align_corners=False)`.
    """
    if size_of(maps) == target:
        return maps
    return _apply(maps, linear_matrix(maps.shape[1], target[0]), linear_matrix(maps.shape[2], target[1]))


def size_of(maps: Float[Array, "batch rows columns channels"]) -> Grid:
    """Returns the (height, width) of maps."""
    return maps.shape[1], maps.shape[2]


def averaging_matrix(source: int, target: int) -> Float[np.ndarray, "target source"]:
    """Computes the shares of `source` samples in `target` averages; neighbours overlap where sizes do not divide.

    >>> averaging_matrix(3, 2).tolist()
    [[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]]
    """
    cells, samples = np.arange(target)[:, None], np.arange(source)[None, :]
    first, end = cells * source // target, -(-(cells + 1) * source // target)
    return np.where((first <= samples) & (samples < end), 1 / (end - first), 0.0)


def linear_matrix(source: int, target: int) -> Float[np.ndarray, "target source"]:
    """Computes the weights of `source` samples in `target` ones by linear interpolation, constant beyond the ends.

    >>> linear_matrix(2, 4).tolist()
    [[1.0, 0.0], [0.75, 0.25], [0.25, 0.75], [0.0, 1.0]]
    """
    places = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
    return np.maximum(0.0, 1 - np.abs(places[:, None] - np.arange(source)[None, :]))


def _apply(
    maps: Float[Array, "batch rows columns channels"],
    of_rows: Float[np.ndarray, "target_rows rows"],
    of_columns: Float[np.ndarray, "target_columns columns"],
) -> Float[Array, "batch target_rows target_columns channels"]:
    rows, columns = jnp.asarray(of_rows, maps.dtype), jnp.asarray(of_columns, maps.dtype)
    # Float32 pixels and logits are not to be rounded to the type that a device multiplies fastest.
    precision = jax.lax.Precision.HIGHEST if maps.dtype == jnp.float32 else None
    along_rows = einsum("yh,bhwc->bywc", rows, maps, precision=precision)
    return einsum("xw,bywc->byxc", columns, along_rows, precision=precision)
