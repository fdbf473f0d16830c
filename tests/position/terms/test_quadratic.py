"""ConViT's score against the linear layer of its code."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.position import Quadratic, expand
from tests.position.terms.cases import drawn


def scores_of_convit(num_heads, grid, strength):
    """Scores of all pairs as `pos_proj` computes them: weights of (dx, dy, distance^2), key minus query."""
    weights = np.zeros((num_heads, 3))
    side = math.isqrt(num_heads)
    middle = (side - 1) / 2 if side % 2 == 0 else side // 2
    for first in range(side):
        for second in range(side):
            weights[first + side * second] = 2 * (second - middle), 2 * (first - middle), -1
    rows, columns = (axis.reshape(-1) for axis in np.indices(grid))
    dx, dy = columns[None, :] - columns[:, None], rows[None, :] - rows[:, None]
    return np.einsum("hf,fqk->hqk", strength * weights, np.stack([dx, dy, dx**2 + dy**2]))


@pytest.mark.parametrize(("num_heads", "strength"), [(1, 1.0), (4, 1.0), (9, 0.5), (6, 2.0)])
def test_scores_at_the_start_are_convits(num_heads, strength):
    term, grid = Quadratic(strength=strength), (3, 4)
    bias = expand(term.table(drawn(term, num_heads=num_heads), grid), grid)
    np.testing.assert_allclose(bias, scores_of_convit(num_heads, grid, strength), atol=1e-5)


def test_nine_heads_start_as_a_convolution_of_three_by_three_patches():
    term, grid = Quadratic(strength=20.0), (5, 5)
    bias = np.asarray(expand(term.table(drawn(term, num_heads=9), grid), grid))
    looks_at = bias[:, 12].argmax(axis=1)  # The query in the middle, row 2 and column 2.
    assert sorted(looks_at.tolist()) == [6, 7, 8, 11, 12, 13, 16, 17, 18]


def test_the_preferred_patch_is_the_center():
    params = {"strength": jnp.ones((1,), jnp.float32), "center": jnp.asarray([[-1.0], [2.0]], jnp.float32)}
    bias = np.asarray(expand(Quadratic().table(params, (4, 6)), (4, 6)))[0]
    assert bias[2 * 6 + 1].argmax() == 1 * 6 + 3
    assert bias[2 * 6 + 1].max() == 5


def test_numbers_name_the_axes():
    stacked = {"strength": np.ones((1, 2)), "center": np.array([[[1.0, 2.0], [3.0, 4.0]]])}
    numbers = Quadratic().numbers(stacked, (3, 3))
    assert numbers["center_y"].tolist() == [[1, 2]] and numbers["center_x"].tolist() == [[3, 4]]


def test_a_layer_may_have_one_center():
    params = drawn(Quadratic(per_head=False), num_heads=9)
    np.testing.assert_array_equal(params["center"], [[0], [0]])


@pytest.mark.parametrize("strength", [0.0, float("nan"), float("inf")])
def test_a_strength_that_cannot_work_is_refused(strength):
    with pytest.raises(ConfigError, match="strength must be"):
        Quadratic(strength=strength)
