"""Masks in their boxes and back in the image."""

import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.ops.detection.masks import mask_target, paste


def test_target_of_a_box_that_a_mask_fills_half():
    bitmap = np.zeros((20, 30), bool)
    bitmap[4:12, 10:20] = True
    boxes = jnp.array([[4, 10, 12, 20], [4, 10, 20, 20], [0, 0, 4, 10]], jnp.float32)
    target = mask_target(jnp.asarray(bitmap), boxes, size=4)
    assert np.all(target[0]) and np.all(target[1, :2]) and not np.any(target[1, 2:]) and not np.any(target[2])


def test_boxes_beyond_the_image_are_clipped():
    assert np.all(mask_target(jnp.ones((8, 8), bool), jnp.array([[-8.0, -8.0, 8.0, 8.0]]), size=4))


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
