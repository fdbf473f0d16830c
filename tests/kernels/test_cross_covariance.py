"""Cross-covariance attention: a NumPy oracle, the symmetry of tokens, gradients and precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from gauss_vit.kernels.cross_covariance import cross_covariance_attention

TEMPERATURE = jnp.asarray([0.7, 2.0], jnp.float32)


def drawn(batch=2, tokens=6, dtype=jnp.float32):
    shape = (3, batch, tokens, 2, 4)
    return tuple(jnp.asarray(np.random.default_rng(0).normal(size=shape), dtype))


def attend(query, key, value, **options):
    # Finite differences come as NumPy arrays.
    query, key, value = (jnp.asarray(each) for each in (query, key, value))
    return cross_covariance_attention(query, key, value, temperature=TEMPERATURE, **options)


def oracle(query, key, value):
    """The formula, one head of one image after the other, in float64."""
    query, key, value = (np.asarray(each, np.float64) for each in (query, key, value))
    outputs = np.empty_like(value)
    for image in range(value.shape[0]):
        for head in range(value.shape[2]):
            each = [array[image, :, head] for array in (query, key)]
            first, second = (array / np.linalg.norm(array, axis=0) for array in each)
            weights = np.exp(float(TEMPERATURE[head]) * first.T @ second)
            weights /= weights.sum(axis=1, keepdims=True)
            outputs[image, :, head] = value[image, :, head] @ weights.T
    return outputs


@pytest.mark.parametrize("batch", [1, 2])
def test_channels_are_mixed_by_the_softmax_of_their_cosines(batch):
    arrays = drawn(batch)
    np.testing.assert_allclose(attend(*arrays), oracle(*arrays), atol=1e-5)


def test_the_order_of_tokens_does_not_matter():
    arrays, order = drawn(), np.random.default_rng(1).permutation(6)
    permuted = attend(*(each[:, order] for each in arrays))
    np.testing.assert_allclose(permuted, attend(*arrays)[:, order], atol=1e-6)


def test_gradients_are_right_and_finite_at_a_channel_of_zeros():
    arrays = drawn(batch=1, tokens=3)
    check_grads(attend, arrays, order=1, modes=["rev"], atol=1e-2, rtol=1e-2)
    empty = arrays[0].at[..., 0].set(0)
    gradient = jax.grad(lambda query: jnp.sum(jnp.square(attend(query, *arrays[1:]))))(empty)
    assert bool(jnp.all(jnp.isfinite(gradient)))


def test_half_precision_stays_near_float32():
    halves = drawn(dtype=jnp.bfloat16)
    found = attend(*halves)
    assert found.dtype == jnp.bfloat16
    np.testing.assert_allclose(found.astype(jnp.float32), oracle(*halves), atol=0.05)


def test_dropout_of_weights_needs_a_key():
    arrays = drawn()
    np.testing.assert_array_equal(attend(*arrays, dropout_rate=0.5), attend(*arrays))
    assert not np.allclose(attend(*arrays, dropout_rate=0.5, dropout_key=jax.random.key(0)), attend(*arrays))
