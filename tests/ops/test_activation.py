"""The exact GELU against the error function of SciPy, and its derivative against finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf

from gauss_vit.ops.activation import gelu, gelu_tanh, quick_gelu, silu

VALUES = np.linspace(-6, 6, 49)


def test_it_is_x_times_the_normal_distribution():
    expected = VALUES * 0.5 * (1 + erf(VALUES / np.sqrt(2)))
    np.testing.assert_allclose(gelu(jnp.asarray(VALUES, jnp.float32)), expected, atol=1e-6)


def test_its_derivative_is_that_of_the_formula():
    found = jax.vmap(jax.grad(gelu))(jnp.asarray(VALUES, jnp.float32))
    density = np.exp(-(VALUES**2) / 2) / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(found, 0.5 * (1 + erf(VALUES / np.sqrt(2))) + VALUES * density, atol=1e-6)
    second = jax.vmap(lambda value: jax.vjp(jax.grad(gelu), value)[1](jnp.float32(1))[0])(
        jnp.asarray(VALUES, jnp.float32)
    )
    np.testing.assert_allclose(second, density * (2 - VALUES**2), atol=1e-6)


def test_half_precision_rounds_the_result_alone():
    values = jnp.asarray(VALUES, jnp.bfloat16)
    exact = gelu(values.astype(jnp.float32))
    assert gelu(values).dtype == jnp.bfloat16
    np.testing.assert_array_equal(gelu(values), exact.astype(jnp.bfloat16))


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


# The formulas in float64.
OTHERS = {
    gelu_tanh: lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    quick_gelu: lambda x: x * sigmoid(1.702 * x),
    silu: lambda x: x * sigmoid(x),
}


@pytest.mark.parametrize("function", OTHERS, ids=lambda function: function.__name__)
def test_other_nonlinearities_are_their_formulas(function):
    formula, step = OTHERS[function], 1e-5
    values = jnp.asarray(VALUES, jnp.float32)
    np.testing.assert_allclose(function(values), formula(VALUES), atol=2e-6)
    slope = (formula(VALUES + step) - formula(VALUES - step)) / (2 * step)
    np.testing.assert_allclose(jax.vmap(jax.grad(function))(values), slope, atol=5e-6)
    half = jnp.asarray(VALUES, jnp.bfloat16)
    np.testing.assert_array_equal(function(half), function(half.astype(jnp.float32)).astype(jnp.bfloat16))


@pytest.mark.parametrize("value", [-1e4, 1e4])
def test_far_values_stay_finite(value):
    value = jnp.float32(value)
    assert float(gelu(value)) == max(float(value), 0.0)
    assert float(jax.grad(gelu)(value)) == float(value > 0)
