"""Anchors beside a loop, and which of them lie in a padded image."""

import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.ops.detection.anchors import Anchors

SMALL = Anchors(strides=(4, 8), ratios=(0.5, 1.0, 2.0), scale=8.0)


def test_anchors_are_those_of_a_loop():
    (first, second) = SMALL.boxes((9, 16))
    expected = []
    for row in range(2):
        for column in range(2):
            for ratio in (0.5, 1.0, 2.0):
                height, width = 64 * ratio**0.5, 64 / ratio**0.5
                y, x = 8 * row, 8 * column
                expected.append((y - height / 2, x - width / 2, y + height / 2, x + width / 2))
    assert first.shape == (3 * 4 * 3, 4)
    np.testing.assert_allclose(second, expected, rtol=1e-6)


def test_anchors_of_the_recipe_are_counted():
    assert sum(map(len, Anchors().boxes((800, 1344)))) == 3 * (200 * 336 + 100 * 168 + 50 * 84 + 25 * 42 + 13 * 21)


def test_cells_beyond_the_padding_of_an_image_are_left_out():
    sizes = jnp.array([[64, 96], [33, 10], [1, 64]])
    for grid, inside in zip(SMALL.grids((64, 96)), SMALL.is_inside((64, 96), sizes), strict=True):
        stride = 64 // grid[0]
        for image, (height, width) in enumerate(sizes.tolist()):
            rows, columns = -(-height // 32) * 32 // stride, -(-width // 32) * 32 // stride
            expected = np.zeros((*grid, 3), bool)
            expected[:rows, :columns] = True
            np.testing.assert_array_equal(inside[image], expected.ravel())


def test_impossible_anchors_are_refused():
    with pytest.raises(ConfigError, match="positive strides"):
        Anchors(strides=(4, 0))
