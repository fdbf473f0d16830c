"""Features of regions: a grid of samples in every box, interpolated from the map of the level that suits its size.

Sampling is "aligned": the cell (i, j) of a map holds the value at its centre, (i + 0.5, j + 0.5) cells from the corner.
A sample up to one cell beyond the border of the map takes the border's value, one farther away is zero.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int32

from gauss_vit.ops.detection.boxes import area

_FINEST = 56.0
_OFFSET = 1e-6
_BOXES_AT_ONCE = 32


def levels_of(yxyx: Float[Array, "boxes 4"], *, num_levels: int) -> Int32[Array, " boxes"]:
    """Chooses the level of each box: 0 below 112 pixels of mean side, one more with every doubling.

    Source: Lin et al., Feature Pyramid Networks (CVPR 2017), equation 1; MMDetection `SingleRoIExtractor`.
    """
    level = jnp.floor(jnp.log2(jnp.sqrt(area(yxyx)) / _FINEST + _OFFSET))
    return jnp.clip(level, 0, num_levels - 1).astype(jnp.int32)


def roi_align(
    maps: tuple[Float[Array, "_ _ channels"], ...],
    yxyx: Float[Array, "boxes 4"],
    *,
    strides: tuple[int, ...],
    bins: int,
    samples: int = 2,
) -> Float[Array, "boxes bins bins channels"]:
    """Averages a fixed number of samples in each bin of each box: the form for training.

    All levels are one table of cells, so that a box costs as much as its samples, whatever its level. MMDetection takes
    as many samples as a bin has cells instead (`roi_align_adaptive`); two differ from that where boxes are large.

    Args:
      maps: pyramid of one image, the finest map first.
      yxyx: boxes in pixels of the image.
      strides: pixels of a cell of each map.
      bins: number of bins along each side.
      samples: number of samples along each side of a bin.
    """
    level = levels_of(yxyx, num_levels=len(maps))
    cells = jnp.concatenate([each.reshape(-1, each.shape[-1]) for each in maps])
    heights, widths = (jnp.asarray([each.shape[axis] for each in maps], jnp.int32)[level] for axis in (0, 1))
    first = jnp.asarray([sum(math.prod(each.shape[:2]) for each in maps[:index]) for index in range(len(maps))])[level]
    scaled = yxyx / jnp.asarray(strides, jnp.float32)[level][:, None] - 0.5
    rows, row_weights = _neighbours(scaled[:, 0], scaled[:, 2], heights, number=bins * samples)
    columns, column_weights = _neighbours(scaled[:, 1], scaled[:, 3], widths, number=bins * samples)
    result = jnp.zeros((), cells.dtype)
    for row, row_weight in zip(rows, row_weights, strict=True):
        for column, column_weight in zip(columns, column_weights, strict=True):
            place = first[:, None, None] + row[:, :, None] * widths[:, None, None] + column[:, None, :]
            weight = (row_weight[:, :, None] * column_weight[:, None, :]).astype(cells.dtype)
            result = result + cells[place] * weight[..., None]
    return result.reshape(len(yxyx), bins, samples, bins, samples, -1).mean(axis=(2, 4))


def roi_align_adaptive(
    values: Float[Array, "height width channels"],
    yxyx: Float[Array, "boxes 4"],
    *,
    stride: int,
    bins: int,
    most_samples: int | None = None,
) -> Float[Array, "boxes bins bins channels"]:
    """Averages as many samples as a bin has cells, rounded up: the form that published weights were trained with.

    A mean of bilinear samples on a grid is a product of one matrix for rows and one for columns. It reads whole maps,
    so that it costs more than `roi_align`. A box without area has no sample, and zeros.

    Args:
      values: one map.
      yxyx: boxes in pixels of the image.
      stride: pixels of a cell.
      bins: number of bins along each side.
      most_samples: largest number of samples along each side of a bin; None suffices for boxes inside the map.

    Source: MMCV `RoIAlign(sampling_ratio=0, aligned=True)`.
    """
    height, width, _ = values.shape
    scaled = yxyx / stride - 0.5
    rows = _mean_weights(scaled[:, 0], scaled[:, 2], height, bins=bins, most_samples=most_samples)
    columns = _mean_weights(scaled[:, 1], scaled[:, 3], width, bins=bins, most_samples=most_samples)
    return jnp.einsum("nph,hwc,nqw->npqc", rows, values.astype(jnp.float32), columns)


def roi_align_adaptive_levels(
    maps: tuple[Float[Array, "_ _ channels"], ...],
    yxyx: Float[Array, "boxes 4"],
    *,
    strides: tuple[int, ...],
    bins: int,
) -> Float[Array, "boxes bins bins channels"]:
    """Applies `roi_align_adaptive` to the level of each box, a few boxes at a time.

    Args:
      maps: pyramid of one image, the finest map first.
      yxyx: boxes in pixels of the image.
      strides: pixels of a cell of each map.
      bins: number of bins along each side.
    """
    level = levels_of(yxyx, num_levels=len(maps))

    def of_box(box: Float[Array, "4"], level: Int32[Array, ""]) -> Float[Array, "bins bins channels"]:
        # On the other levels the box has no area, and zeros as features.
        boxes = [jnp.where(level == index, box, 0)[None] for index in range(len(maps))]
        levels = zip(maps, boxes, strides, strict=True)
        features = [roi_align_adaptive(each, box, stride=stride, bins=bins)[0] for each, box, stride in levels]
        return functools.reduce(jnp.add, features)

    return jax.lax.map(lambda each: of_box(*each), (yxyx, level), batch_size=_BOXES_AT_ONCE)


_Pair = tuple[Array, Array]


def _neighbours(
    low: Float[Array, " boxes"], high: Float[Array, " boxes"], size: Int32[Array, " boxes"], *, number: int
) -> tuple[_Pair, _Pair]:
    """Returns the two cells beside each of evenly spaced samples along a side, and the weights of both.

    Args:
      low, high: ends of the side, in cells, where cell i lies at i.
      size: number of cells of the map along this axis.
      number: number of samples.
    """
    share = (jnp.arange(number, dtype=jnp.float32) + 0.5) / number
    at = low[:, None] + share[None] * (high - low)[:, None]
    last = (size - 1).astype(jnp.float32)[:, None]
    is_seen = (at >= -1) & (at <= last + 1)
    at = jnp.clip(at, 0, last)
    below = jnp.floor(at).astype(jnp.int32)
    above = jnp.minimum(below + 1, size[:, None] - 1)
    fraction = at - below.astype(jnp.float32)
    return (below, above), (jnp.where(is_seen, 1 - fraction, 0), jnp.where(is_seen, fraction, 0))


def _mean_weights(
    low: Float[Array, " boxes"], high: Float[Array, " boxes"], size: int, *, bins: int, most_samples: int | None
) -> Float[Array, "boxes bins cells"]:
    """Computes the share of every cell in the mean of each bin's samples."""
    length = high - low
    number = jnp.ceil(length / bins)
    count = jnp.maximum(number, 1)
    cells = jnp.arange(size, dtype=jnp.float32)

    def add(sample: Int32[Array, ""], weights: Float[Array, "boxes bins cells"]) -> Float[Array, "boxes bins cells"]:
        place = jnp.arange(bins, dtype=jnp.float32)[None] + ((sample.astype(jnp.float32) + 0.5) / count)[:, None]
        at = low[:, None] + place * (length / bins)[:, None]
        is_counted = (at >= -1) & (at <= size) & (sample.astype(jnp.float32) < number)[:, None]
        distance = jnp.abs(jnp.clip(at, 0, size - 1)[..., None] - cells[None, None])
        return weights + jnp.where(is_counted[..., None], jnp.maximum(1 - distance, 0), 0)

    most = most_samples or -(-size // bins) + 1
    start = jnp.zeros((len(low), bins, size), jnp.float32)
    return jax.lax.fori_loop(0, most, add, start) / count[:, None, None]
