"""Toeplitz matrices and their gradient against SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import toeplitz as oracle

from gauss_vit.ops.toeplitz import toeplitz


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_it_is_scipys_matrix(size):
    diagonals = np.random.default_rng(size).normal(size=2 * size - 1).astype(np.float32)
    expected = oracle(diagonals[size - 1 :], diagonals[size - 1 :: -1])
    np.testing.assert_array_equal(toeplitz(jnp.asarray(diagonals)), expected)


def test_leading_axes_are_a_batch():
    diagonals = jax.random.normal(jax.random.key(0), (2, 3, 5), jnp.float32)
    np.testing.assert_array_equal(toeplitz(diagonals)[1, 2], toeplitz(diagonals[1, 2]))


def test_its_gradient_sums_the_diagonals_without_a_scatter():
    cotangent = jax.random.normal(jax.random.key(0), (4, 4), jnp.float32)
    diagonals = jnp.zeros((7,), jnp.float32)
    _, pull_back = jax.vjp(toeplitz, diagonals)
    expected = [np.trace(np.asarray(cotangent), offset) for offset in range(3, -4, -1)]
    np.testing.assert_allclose(pull_back(cotangent)[0], expected, rtol=1e-5, atol=1e-6)
    text = jax.jit(lambda values: jax.vjp(toeplitz, values)[1](cotangent)).lower(diagonals).as_text()
    assert "scatter" not in text
    assert "gather" not in text
