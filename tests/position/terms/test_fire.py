"""FIRE against a NumPy network, and what its normalisation promises on other grids."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.position import Fire
from tests.position.terms.cases import drawn


@pytest.mark.parametrize(("grid", "threshold"), [((3, 4), 2.0), ((3, 4), 50.0), ((1, 1), 0.5)])
def test_the_network_is_the_papers_equation(grid, threshold):
    term = Fire(hidden=5, threshold=threshold)
    params = drawn(term, grid=grid, num_heads=2)
    found = np.asarray(term.table(params, grid))
    weights = {name: np.asarray(value, np.float64) for name, value in params.items()}
    longest = max(np.hypot(grid[0] - 1, grid[1] - 1), 1.0, threshold)
    for row in range(found.shape[1]):
        for column in range(found.shape[2]):
            distance = np.hypot(row - grid[0] + 1, column - grid[1] + 1)
            share = np.log1p(0.1 * distance) / np.log1p(0.1 * longest)
            hidden = np.maximum(share * weights["fc1_kernel"][0] + weights["fc1_bias"], 0)
            # Ten products of numbers below 1 are summed in float32; the epsilon of the quotient is 1e-6.
            expected = hidden @ weights["fc2_kernel"] + weights["fc2_bias"]
            np.testing.assert_allclose(found[:, row, column], expected, atol=2e-5)


def test_the_far_end_of_a_larger_grid_is_the_far_end_of_the_first():
    term = Fire()
    params = drawn(term, grid=(4, 5))
    corners = [np.asarray(term.table(params, grid))[:, 0, 0] for grid in ((4, 5), (8, 9), (13, 17))]
    np.testing.assert_allclose(corners[1:], [corners[0], corners[0]], atol=1e-5)


def test_on_a_smaller_grid_distances_are_absolute():
    term = Fire()
    params = drawn(term, grid=(4, 5))
    whole, part = np.asarray(term.table(params, (4, 5))), np.asarray(term.table(params, (2, 3)))
    np.testing.assert_allclose(part, whole[:, 2:-2, 2:-2], atol=1e-6)


def test_the_threshold_starts_at_the_longest_distance():
    np.testing.assert_allclose(drawn(Fire(), grid=(4, 5))["threshold"], [5.0])
    np.testing.assert_allclose(drawn(Fire(threshold=7.0), grid=(4, 5))["threshold"], [7.0])


def test_heads_may_share_one_output():
    term = Fire(per_head=False)
    assert term.table(drawn(term, num_heads=3), (3, 5)).shape == (1, 5, 9)


def test_weights_are_drawn_with_the_key():
    first, second = (Fire().init(jax.random.key(seed), grid=(3, 3), num_heads=2) for seed in (0, 1))
    assert not jnp.array_equal(first["fc2_kernel"], second["fc2_kernel"])


@pytest.mark.parametrize("wrong", [{"hidden": 0}, {"log_scale": 0.0}, {"threshold": -1.0}])
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Fire(**wrong)
