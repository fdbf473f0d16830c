"""Losses against soft targets, in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.ops import losses


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_soft_cross_entropy_of_a_smoothed_class_is_the_cross_entropy(smoothing):
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(5, 7)), jnp.float32)
    label = jnp.asarray([0, 6, 3, 3, 1], jnp.int32)
    target = losses.smooth_one_hot(label, num_classes=7, label_smoothing=smoothing)
    np.testing.assert_allclose(jnp.sum(target, axis=-1), np.ones(5), rtol=1e-6)
    expected = losses.cross_entropy(logits, label, label_smoothing=smoothing)
    np.testing.assert_allclose(losses.soft_cross_entropy(logits, target), expected, rtol=1e-5)


def test_binary_cross_entropy_is_the_mean_over_classes_that_need_not_exclude_one_another():
    random = np.random.default_rng(1)
    logits, target = random.normal(size=(4, 6)) * 3, random.uniform(size=(4, 6))
    target[0], target[1] = 1.0, 0.0
    yes = 1 / (1 + np.exp(-logits))
    expected = -(target * np.log(yes) + (1 - target) * np.log(1 - yes)).mean(axis=1)
    actual = losses.binary_cross_entropy(jnp.asarray(logits, jnp.float32), jnp.asarray(target, jnp.float32))
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_binary_cross_entropy_is_finite_for_huge_logits():
    logits = jnp.asarray([[1e4, -1e4, 0.0]], jnp.float32)
    actual = losses.binary_cross_entropy(logits, jnp.asarray([[1.0, 0.0, 0.5]], jnp.float32))
    np.testing.assert_allclose(actual, [np.log(2) / 3], rtol=1e-6)


@pytest.mark.parametrize("loss", [losses.soft_cross_entropy, losses.binary_cross_entropy])
def test_losses_of_bfloat16_logits_are_float32(loss):
    logits = jnp.asarray([[0.5, -0.25, 2.0]], jnp.bfloat16)
    target = jnp.asarray([[0.0, 0.0, 1.0]], jnp.float32)
    assert loss(logits, target).dtype == jnp.float32
    np.testing.assert_array_equal(loss(logits, target), loss(logits.astype(jnp.float32), target))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_a_label_of_a_pixel_is_one_class_of_any_number_and_else_nan(dtype):
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(1, 1, 2, 300)), jnp.float32)
    labels = jnp.asarray([[[7, 200]]], dtype)
    found = np.asarray(losses.pixel_cross_entropy(logits, labels))
    np.testing.assert_allclose(found[0, 0], -np.asarray(jax.nn.log_softmax(logits))[0, 0, [0, 1], [7, 200]], rtol=1e-5)
    assert np.isnan(losses.pixel_cross_entropy(logits, jnp.asarray([[[-1, 300]]], jnp.int32))).all()
