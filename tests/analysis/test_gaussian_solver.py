"""The solver for Gaussians: micro-batches, late maps and bounds change nothing but the time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.analysis import gaussian_solver
from gauss_vit.analysis.gaussian_solver import Solution, solve
from tests import compilations

FREE = np.array([[-np.inf] * 5, [np.inf] * 5])


def hills(num_maps, side=(12, 16)):
    random = np.random.default_rng(0)
    y, x = np.indices(side)
    truth = np.stack(
        [
            random.uniform(10, 20, num_maps),
            random.uniform(5, 10, num_maps),
            random.uniform(4, 7, num_maps),
            random.uniform(1.5, 3, num_maps),
            random.uniform(1.5, 3, num_maps),
        ],
        axis=1,
    )
    amplitude, center_x, center_y, sigma_x, sigma_y = (column[:, None, None] for column in truth.T)
    exponent = (x - center_x) ** 2 / (2 * sigma_x**2) + (y - center_y) ** 2 / (2 * sigma_y**2)
    return amplitude * np.exp(-exponent) / (2 * np.pi * sigma_x * sigma_y), truth


@pytest.mark.parametrize("num_maps", [0, 1, 7, 8, 9, 64, 70])
def test_every_map_is_found_whatever_the_microbatches(num_maps):
    maps, truth = hills(num_maps)
    found = solve(maps, truth * 1.1, FREE)
    assert found.values.shape == (num_maps, 5)
    np.testing.assert_allclose(found.values, truth, rtol=1e-7)
    assert found.converged.all()


def test_maps_that_need_many_steps_are_searched_to_their_end(monkeypatch):
    maps, truth = hills(5)
    expected = solve(maps, truth * 1.3, FREE)
    monkeypatch.setattr(gaussian_solver, "FEW_STEPS", 2)
    found = solve(maps, truth * 1.3, FREE)
    np.testing.assert_array_equal(found.values, expected.values)
    assert found.converged.all()


def test_one_shape_of_maps_is_compiled_once_a_microbatch_size():
    maps, truth = hills(130, side=(9, 13))
    with compilations.counted() as compiled:
        solve(maps[:64], truth[:64] * 1.1, FREE)
        assert compiled["_solve_microbatch"] >= 1
        compiled.clear()
        solve(maps, truth * 1.2, FREE)
    # The rest of two, or late maps, may fill a smaller micro-batch.
    assert compiled["_solve_microbatch"] <= 2


def test_parameters_stay_inside_the_box():
    maps, truth = hills(6)
    box = np.array([[0, 0, 5.5, 0.1, 0.1], [15, 9, 6, 9, 9]])
    found = solve(maps, truth, box)
    assert (found.values >= box[0]).all()
    assert (found.values <= box[1]).all()
    assert found.converged.all()


def test_the_better_of_two_results_is_kept():
    def of(r_squared):
        values = np.repeat(np.array(r_squared)[:, None], 5, axis=1)
        return Solution(values=values, r_squared=np.array(r_squared), converged=np.ones(len(r_squared), np.bool_))

    kept = of([0.5, np.nan, 0.7, 0.9]).or_better(of([0.6, 0.2, 0.1]), at=np.array([0, 1, 2]))
    np.testing.assert_array_equal(kept.r_squared, [0.6, 0.2, 0.7, 0.9])


def test_elimination_solves_positive_definite_systems():
    random = np.random.default_rng(0)
    root = random.normal(size=(5, 5))
    matrix, vector = root @ root.T + np.eye(5), random.normal(size=5)
    with jax.enable_x64(True):
        solution = gaussian_solver._eliminate(jnp.asarray(matrix), jnp.asarray(vector))
        np.testing.assert_allclose(solution, np.linalg.solve(matrix, vector), rtol=1e-10)
