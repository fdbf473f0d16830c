"""Gaussians of queries: equal to LocAt's code, and the laws that they obey."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from gauss_vit.errors import ConfigError
from gauss_vit.position.query_gaussian import QueryGaussian, expand_gaussians, gaussian_logits

GRID, FINER, CHANNELS = (3, 5), (6, 9), 8
REFERENCE = np.load(Path(__file__).parent / "query_gaussian_reference.npz")
LEARNED = {
    name: jnp.asarray(REFERENCE[name])
    for name in ("variance_kernel", "variance_bias", "strength_kernel", "strength_bias")
}
KEY = jax.random.key(0)


def logits_of(gaussian, params, query, grid, *, prefix_tokens=0):
    predicted = gaussian.predict(params, query[:, prefix_tokens:], grid)
    square = gaussian.largest_square(grid)
    return expand_gaussians(predicted, grid, largest_square=square, prefix_tokens=prefix_tokens)


@pytest.mark.parametrize(("grid", "start"), [(GRID, ""), (FINER, "finer_")])
def test_logits_are_those_of_the_code(grid, start):
    # A prefix token comes first; the finer grid is not that of the training.
    query = jnp.asarray(REFERENCE[f"{start}query"])
    found = logits_of(QueryGaussian(reference=GRID), LEARNED, query, grid, prefix_tokens=1)
    np.testing.assert_allclose(found, REFERENCE[f"{start}logits"], atol=2e-6)


def formula(params, query, grid):
    """The equations of the module in float64, pair by pair."""
    params = {name: np.asarray(each, np.float64) for name, each in params.items()}
    query, c = np.asarray(query, np.float64), max(grid) ** 2
    strength = np.log1p(np.exp(query @ params["strength_kernel"] + params["strength_bias"]))[..., 0]
    variance = c / (1 + np.exp(np.log(c - 1) - query @ params["variance_kernel"] - params["variance_bias"]))
    rows, columns = np.divmod(np.arange(grid[0] * grid[1]), grid[1])
    down, across = rows[:, None] - rows, columns[:, None] - columns
    # [batch, heads, query, key], of variances and strengths [batch, query, heads].
    first, second = (2 * (np.moveaxis(variance[..., axis], 1, 2)[..., None] + 0.1) for axis in (0, 1))
    return np.moveaxis(strength, 1, 2)[..., None] * np.exp(-(down**2) / first - across**2 / second)


@pytest.mark.parametrize(("grid", "batch"), [((3, 5), 1), ((4, 2), 2), ((1, 4), 1)])
def test_logits_are_those_of_the_equations(grid, batch):
    query = jax.random.normal(KEY, (batch, grid[0] * grid[1], 2, CHANNELS), jnp.float32)
    found = logits_of(QueryGaussian(), LEARNED, query, grid)
    np.testing.assert_allclose(found, formula(LEARNED, query, grid), rtol=1e-5, atol=1e-6)


def test_a_query_of_zeros_has_variances_of_one_at_the_start():
    params = QueryGaussian().init(KEY, channels=CHANNELS)
    predicted = QueryGaussian().predict(params, jnp.zeros((1, 15, 2, CHANNELS)), GRID)
    np.testing.assert_allclose(predicted[..., 0], np.log(2), rtol=1e-6)
    np.testing.assert_allclose(predicted[..., 1:], 1 / 1.1, rtol=1e-6)
    np.testing.assert_array_equal(params["variance_bias"], 0)
    assert 0.005 < float(jnp.std(params["variance_kernel"])) < 0.04


def test_logits_are_largest_at_the_query_itself_and_fall_with_distance():
    query = jax.random.normal(KEY, (1, 15, 2, CHANNELS), jnp.float32)
    logits = np.asarray(logits_of(QueryGaussian(), LEARNED, query, GRID)).reshape(2, 15, *GRID)
    assert (logits >= 0).all()
    for token in range(15):
        row, column = divmod(token, 5)
        assert (logits[:, token].reshape(2, -1).argmax(-1) == token).all()
        assert (np.diff(logits[:, token, row, column:], axis=-1) < 0).all()
        assert (np.diff(logits[:, token, row:, column], axis=-1) < 0).all()


def test_some_queries_have_the_logits_that_they_have_among_all():
    query = jax.random.normal(KEY, (1, 15, 2, CHANNELS), jnp.float32)
    predicted = QueryGaussian().predict(LEARNED, query, GRID)
    whole = expand_gaussians(predicted, GRID, largest_square=16.0)
    places = jnp.array([2, 0], jnp.int32), jnp.array([1, 4], jnp.int32)
    found = gaussian_logits(predicted[:, :, jnp.array([11, 4])], places, GRID, largest_square=16.0)
    np.testing.assert_allclose(found, whole[:, :, jnp.array([11, 4])], rtol=1e-6)


def test_zero_is_no_bias():
    params = {**LEARNED, **QueryGaussian().zero(LEARNED)}
    query = 10 * jax.random.normal(KEY, (1, 15, 2, CHANNELS), jnp.float32)
    np.testing.assert_array_equal(logits_of(QueryGaussian(), params, query, GRID), 0)


@pytest.mark.parametrize(("grid", "epsilon"), [((14, 14), 0.1), ((26, 10), 0.1), ((27, 10), 0.2), ((64, 64), 0.4)])
def test_epsilon_keeps_exponents_in_half_precision(grid, epsilon):
    assert QueryGaussian().epsilon(grid) == pytest.approx(epsilon)
    assert QueryGaussian(reference=(14, 14)).epsilon(grid) == pytest.approx(0.1)


def test_far_offsets_count_as_the_longest_of_the_reference():
    assert QueryGaussian(reference=(3, 5)).largest_square((9, 9)) == 16
    assert QueryGaussian().largest_square((3, 5)) == 16
    assert QueryGaussian().largest_square((200, 5)) == 13100


def test_gradients_of_parameters_and_queries():
    query = jax.random.normal(KEY, (1, 6, 2, CHANNELS), jnp.float32)

    def apply(*arrays):
        params, query = jax.tree.map(jnp.asarray, arrays)
        return logits_of(QueryGaussian(), params, query, (2, 3))

    # Small steps drown in the rounding of float32.
    check_grads(apply, (LEARNED, query), order=1, modes=["rev"], rtol=2e-2, eps=1e-2)


def test_a_reference_without_rows_is_refused():
    with pytest.raises(ConfigError, match="at least 1 x 1"):
        QueryGaussian(reference=(0, 3))
