"""Features of regions beside a loop over single samples, at borders, beyond them and without area."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.ops.detection.roi_align import levels_of, roi_align, roi_align_adaptive, roi_align_adaptive_levels
from tests.ops.detection.scenes import boxes_of

BINS = 3


def interpolated(values: np.ndarray, y: float, x: float) -> np.ndarray:
    """The value of a map at a place, in cells from the centre of the first cell."""
    height, width, channels = values.shape
    if y < -1 or x < -1 or y > height or x > width:
        return np.zeros(channels)
    y, x = min(max(y, 0.0), height - 1), min(max(x, 0.0), width - 1)
    top, left = min(int(y), max(height - 2, 0)), min(int(x), max(width - 2, 0))
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    upper = values[top, left] * (1 - (x - left)) + values[top, right] * (x - left)
    lower = values[bottom, left] * (1 - (x - left)) + values[bottom, right] * (x - left)
    return upper * (1 - (y - top)) + lower * (y - top)


def aligned(values: np.ndarray, box: np.ndarray, *, stride: int, samples: int | None) -> np.ndarray:
    """One box, sample by sample."""
    y0, x0, y1, x1 = box.astype(np.float64) / stride - 0.5
    rows, columns = (math.ceil(side / BINS) if samples is None else samples for side in (y1 - y0, x1 - x0))
    result = np.zeros((BINS, BINS, values.shape[-1]))
    for row, column in np.ndindex(BINS, BINS):
        for i, j in np.ndindex(rows, columns):
            y = y0 + (row + (i + 0.5) / rows) * (y1 - y0) / BINS
            x = x0 + (column + (j + 0.5) / columns) * (x1 - x0) / BINS
            result[row, column] += interpolated(values, y, x) / (rows * columns)
    return result


def pyramid(*sizes: tuple[int, int]) -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(0)
    return tuple(random.normal(size=(*size, 5)).astype(np.float32) for size in sizes)


def regions() -> np.ndarray:
    boxes = boxes_of(np.random.default_rng(2), 40)
    boxes[0] = (3, 3, 3, 3)
    boxes[1] = (0, 0, 64, 96)
    boxes[2] = (-40, -40, -20, -20)
    boxes[3] = (-9, 50, 70, 110)
    return boxes


@pytest.mark.parametrize("samples", [1, 2])
def test_fixed_samples_are_those_of_a_loop(samples: int):
    maps, strides = jax.tree.map(jnp.asarray, pyramid((16, 24), (8, 12))), (4, 8)
    boxes = regions()
    boxes[4:8] = np.array([0, 0, 120, 120], np.float32) + boxes[4:8, [0, 1, 0, 1]] / 8
    found = jax.jit(lambda boxes: roi_align(maps, boxes, strides=strides, bins=BINS, samples=samples))(boxes)
    levels = np.asarray(levels_of(jnp.asarray(boxes), num_levels=2))
    assert {0, 1} == set(levels.tolist())
    expected = [
        aligned(np.asarray(maps[level]), box, stride=strides[level], samples=samples)
        for level, box in zip(levels, boxes, strict=True)
    ]
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_adaptive_samples_are_those_of_a_loop():
    (values,) = jax.tree.map(jnp.asarray, pyramid((16, 24)))
    boxes = regions()
    found = jax.jit(lambda boxes: roi_align_adaptive(values, boxes, stride=4, bins=BINS, most_samples=12))(boxes)
    expected = [aligned(np.asarray(values), box, stride=4, samples=None) for box in boxes]
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_adaptive_samples_are_of_the_level_of_each_box():
    maps, strides, boxes = jax.tree.map(jnp.asarray, pyramid((16, 24), (8, 12))), (4, 8), regions()
    boxes[4:8] = np.array([0, 0, 64, 200], np.float32)
    found = jax.jit(lambda boxes: roi_align_adaptive_levels(maps, boxes, strides=strides, bins=BINS))(boxes)
    levels = np.asarray(levels_of(jnp.asarray(boxes), num_levels=2))
    of_levels = [
        roi_align_adaptive(values, jnp.asarray(boxes), stride=stride, bins=BINS)
        for values, stride in zip(maps, strides, strict=True)
    ]
    assert {0, 1} == set(levels.tolist())
    np.testing.assert_allclose(found, np.stack(of_levels)[levels, np.arange(len(boxes))], atol=2e-5)


def test_levels_double_from_112_pixels_on():
    sides = np.array([1, 56, 111.9, 112.1, 224.1, 448.1, 5000], np.float32)
    boxes = np.stack([0 * sides, 0 * sides, sides, sides], axis=1)
    assert levels_of(jnp.asarray(boxes), num_levels=4).tolist() == [0, 0, 0, 1, 2, 3, 3]


def test_gradients_reach_the_cells_that_are_sampled_and_are_finite():
    maps = jax.tree.map(jnp.asarray, pyramid((8, 8)))
    boxes = jnp.array([[0.0, 0.0, 8.0, 8.0], [5.0, 5.0, 5.0, 5.0]])
    (gradient,) = jax.grad(lambda maps: roi_align(maps, boxes, strides=(4,), bins=BINS).sum())(maps)
    assert np.all(np.isfinite(gradient)) and np.any(gradient[:3, :3] > 0) and not np.any(gradient[4:, 4:])
    np.testing.assert_allclose(np.sum(gradient), 2 * BINS * BINS * 5, rtol=1e-5)
