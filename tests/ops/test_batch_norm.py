"""Batch normalisation against its formula in NumPy, and its backward pass against differentiating the formula."""

import jax
import jax.numpy as jnp
import numpy as np

from gauss_vit.ops.batch_norm import batch_norm, normalize
from tests.tolerance import of_sums

EPSILON = 1e-5


def operands(dtype=jnp.float32):
    random = np.random.default_rng(0)
    maps = jnp.asarray(random.normal(size=(3, 2, 5, 4)) * 3 + 1, dtype)
    scale, bias = (jnp.asarray(random.normal(size=4), jnp.float32) for _ in range(2))
    return (maps, scale, bias), jnp.asarray(random.normal(size=maps.shape), dtype)


def plain(maps, scale, bias):
    mean = jnp.mean(maps, axis=(0, 1, 2), keepdims=True)
    variance = jnp.mean(jnp.square(maps - mean), axis=(0, 1, 2), keepdims=True)
    normal = (maps - mean) * jax.lax.rsqrt(variance + EPSILON)
    return normal * scale[None, None, None] + bias[None, None, None]


@jax.jit
def normed(maps, scale, bias):
    return batch_norm(maps, scale, bias, epsilon=EPSILON)


def test_channels_are_normalised_by_their_own_statistics():
    (maps, scale, bias), _ = operands()
    outputs, mean, variance = normed(maps, scale, bias)
    exact = np.asarray(maps, np.float64)
    expected_mean, expected_variance = exact.mean(axis=(0, 1, 2)), exact.var(axis=(0, 1, 2))
    np.testing.assert_allclose(mean, expected_mean, rtol=1e-5)
    np.testing.assert_allclose(variance, expected_variance, rtol=1e-5)
    normal = (exact - expected_mean) / np.sqrt(expected_variance + EPSILON)
    np.testing.assert_allclose(outputs, normal * np.asarray(scale) + np.asarray(bias), rtol=0, atol=1e-5)
    given = normalize(maps, scale, bias, mean=mean, variance=variance, epsilon=EPSILON)
    np.testing.assert_allclose(given, outputs, rtol=0, atol=1e-5)


def test_gradients_are_those_of_the_formula():
    values, cotangent = operands()
    pull_back = jax.vjp(lambda *each: normed(*each)[0], *values)[1]
    expected_back = jax.vjp(plain, *values)[1]
    for one, other in zip(pull_back(cotangent), expected_back(cotangent), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_half_precision_has_the_gradients_of_float32_rounded_once():
    (maps, scale, bias), cotangent = operands(jnp.bfloat16)
    outputs, pull_back = jax.vjp(lambda *each: normed(*each)[0], maps, scale, bias)
    _, exact_back = jax.vjp(lambda *each: normed(*each)[0], maps.astype(jnp.float32), scale, bias)
    found, exact = pull_back(cotangent), exact_back(cotangent.astype(jnp.float32))
    assert outputs.dtype == found[0].dtype == jnp.bfloat16
    np.testing.assert_allclose(found[0].astype(jnp.float32), exact[0], rtol=2**-8, atol=1e-6)
    for one, other in zip(found[1:], exact[1:], strict=True):
        assert one.dtype == jnp.float32
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_statistics_have_no_gradient():
    (maps, scale, bias), _ = operands()
    gradient = jax.grad(lambda maps: sum(jnp.sum(each) for each in normed(maps, scale, bias)[1:]))(maps)
    np.testing.assert_array_equal(gradient, 0)


def test_a_constant_channel_becomes_its_bias():
    (maps, scale, bias), cotangent = operands()
    outputs, pull_back = jax.vjp(lambda maps: normed(maps, scale, bias)[0], jnp.full_like(maps, 3.0))
    # What the mean of 30 numbers is off by is divided by the root of epsilon.
    atol = of_sums(2) * 3 / np.sqrt(EPSILON) * np.abs(scale).max()
    np.testing.assert_allclose(outputs, np.broadcast_to(bias, outputs.shape), rtol=0, atol=atol)
    assert np.isfinite(pull_back(cotangent)[0]).all()


def test_the_backward_pass_keeps_the_maps_and_a_few_numbers_a_channel():
    (maps, scale, bias), _ = operands(jnp.bfloat16)
    pull_back = jax.vjp(lambda *each: batch_norm(*each, epsilon=EPSILON)[0], maps, scale, bias)[1]
    assert sum(leaf.nbytes for leaf in jax.tree.leaves(pull_back)) <= maps.nbytes + 4 * scale.nbytes


def test_given_statistics_have_the_gradients_of_the_formula():
    (maps, scale, bias), cotangent = operands()
    mean, variance = jnp.asarray([0.5, 1, 2, 0], jnp.float32), jnp.asarray([1, 4, 9, 0.5], jnp.float32)

    def affine(maps, scale, bias):
        normal = (maps - mean[None, None, None]) / jnp.sqrt(variance + EPSILON)[None, None, None]
        return normal * scale[None, None, None] + bias[None, None, None]

    def found(maps, scale, bias):
        return normalize(maps, scale, bias, mean=mean, variance=variance, epsilon=EPSILON)

    pull_back, expected_back = (jax.vjp(each, maps, scale, bias)[1] for each in (found, affine))
    for one, other in zip(pull_back(cotangent), expected_back(cotangent), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
