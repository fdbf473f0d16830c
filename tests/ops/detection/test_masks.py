"""Masks in their boxes and back in the image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.ops.detection.masks import cropped_mask_target, mask_target, paste
from gauss_vit.ops.detection.roi_align import roi_align_adaptive


def test_target_of_a_box_that_a_mask_fills_half():
    bitmap = np.zeros((20, 30), bool)
    bitmap[4:12, 10:20] = True
    boxes = jnp.array([[4, 10, 12, 20], [4, 10, 20, 20], [0, 0, 4, 10]], jnp.float32)
    target = mask_target(jnp.asarray(bitmap), boxes, size=4)
    assert np.all(target[0]) and np.all(target[1, :2]) and not np.any(target[1, 2:]) and not np.any(target[2])


def test_boxes_beyond_the_image_are_clipped():
    assert np.all(mask_target(jnp.ones((8, 8), bool), jnp.array([[-8.0, -8.0, 8.0, 8.0]]), size=4))


def cells_of(low: int, high: int, *, side: int, cells: int) -> np.ndarray:
    """The share of every pixel of an axis in each of the cells between two pixels, a matrix [cells, side]."""
    edges = low + (high - low) * np.arange(cells + 1) / cells
    covered = np.minimum(edges[1:, None], np.arange(side) + 1) - np.maximum(edges[:-1, None], np.arange(side))
    return np.maximum(covered, 0) * cells / (high - low)


def drawn_object(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An ellipse with a bite, its bounding box, and its mask over that."""
    random, (height, width) = np.random.default_rng(seed), (96, 128)
    rows, columns = np.mgrid[:height, :width] + 0.5
    (y, x), (a, b) = random.uniform(30, 66, 2), random.uniform(8, 30, 2)
    bitmap = ((rows - y) / a) ** 2 + ((columns - x) / b) ** 2 < 1
    bitmap &= (rows - y > -0.3 * a) | (columns - x > 0.2 * b)
    (y0, *_, y1), (x0, *_, x1) = (np.flatnonzero(bitmap.any(axis=axis)) for axis in (1, 0))
    box = np.array([y0, x0, y1 + 1, x1 + 1], np.float32)
    down, right = (
        cells_of(int(box[axis]), int(box[axis + 2]), side=side, cells=112) for axis, side in enumerate((height, width))
    )
    return bitmap, box, np.round(255 * (down @ bitmap @ right.T)).astype(np.uint8)


def test_masks_over_boxes_give_the_targets_of_bitmaps_but_for_cells_that_are_half_covered():
    bitmaps, boxes, crops = map(np.stack, zip(*map(drawn_object, range(30)), strict=True))
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    regions = boxes + np.random.default_rng(0).normal(0, 0.1, boxes.shape) * sides
    regions = np.clip(regions, 0, np.array([96, 128, 96, 128])).astype(np.float32)
    regions[:5] = boxes[:5]
    found = np.asarray(jax.jit(lambda *parts: cropped_mask_target(*parts, size=28))(crops, boxes, regions))
    exact = jax.jit(jax.vmap(lambda bitmap, box: mask_target(bitmap, box[None], size=28)[0]))(bitmaps, regions)
    share = jax.jit(
        jax.vmap(lambda bitmap, box: roi_align_adaptive(bitmap[..., None], box[None], stride=1, bins=28)[0])
    )(bitmaps.astype(np.float32), regions)[..., 0]
    differs = found != np.asarray(exact)
    # An outline moves by half a cell of a crop at most, an eighth of the target's, and samples lie as far apart.
    assert np.all(np.abs(np.asarray(share) - 0.5)[differs] <= 0.25)
    assert np.mean(differs) < 0.01 and np.any(found != 0)


def pasted_by_hand(probability: np.ndarray, box: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    size, (y0, x0, y1, x1) = len(probability), box.astype(np.float64)
    padded = np.pad(probability.astype(np.float64), 1)
    result = np.zeros(image_size)
    for row, column in np.ndindex(image_size):
        y = (row + 0.5 - y0) / (y1 - y0) * size + 0.5
        x = (column + 0.5 - x0) / (x1 - x0) * size + 0.5
        if 0 <= y <= size + 1 and 0 <= x <= size + 1:
            i, j = min(int(y), size), min(int(x), size)
            corners = padded[i : i + 2, j : j + 2]
            result[row, column] = np.array([1 - (y - i), y - i]) @ corners @ np.array([1 - (x - j), x - j])
    return result >= 0.5


@pytest.mark.parametrize("box", [(2.3, 4.1, 17.9, 21.5), (-5, -3, 9, 40), (30, 30, 40, 40), (3, 3, 3.5, 3.5)])
def test_pasted_masks_are_those_of_a_loop(box: tuple[float, ...]):
    probability = np.random.default_rng(0).random((7, 7)).astype(np.float32)
    box = np.array(box, np.float32)
    np.testing.assert_array_equal(paste(probability, box, (20, 24)), pasted_by_hand(probability, box, (20, 24)))


def test_a_box_without_area_draws_nothing():
    assert not np.any(paste(np.ones((7, 7), np.float32), np.array([3, 3, 3, 9], np.float32), (10, 10)))
