"""The backward pass of layer normalisation against differentiating its formula."""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from gauss_vit.ops.layer_norm import layer_norm


def plain(inputs, scale, bias):
    centred = inputs - jnp.mean(inputs, axis=-1, keepdims=True)
    rate = jax.lax.rsqrt(jnp.mean(jnp.square(centred), axis=-1, keepdims=True) + 1e-6)
    return centred * rate * jnp.broadcast_to(scale, inputs.shape) + jnp.broadcast_to(bias, inputs.shape)


def normed(inputs, scale, bias):
    return layer_norm(inputs, scale, bias, epsilon=1e-6)


def operands(dtype=jnp.float32):
    keys = jax.random.split(jax.random.key(0), 4)
    inputs = (jax.random.normal(keys[0], (2, 3, 16), jnp.float32) * 3 + 1).astype(dtype)
    scale, bias = (jax.random.normal(key, (16,), jnp.float32) for key in keys[1:3])
    return (inputs, scale, bias), jax.random.normal(keys[3], (2, 3, 16), jnp.float32).astype(dtype)


def test_gradients_are_those_of_the_formula():
    values, cotangent = operands()
    found, pull_back = jax.vjp(normed, *values)
    expected, expected_back = jax.vjp(plain, *values)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    for one, other in zip(pull_back(cotangent), expected_back(cotangent), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_half_precision_has_the_gradients_of_float32_rounded_once():
    (inputs, scale, bias), cotangent = operands(jnp.bfloat16)
    _, pull_back = jax.vjp(normed, inputs, scale, bias)
    _, exact_back = jax.vjp(normed, inputs.astype(jnp.float32), scale, bias)
    found, exact = pull_back(cotangent), exact_back(cotangent.astype(jnp.float32))
    np.testing.assert_array_equal(found[0], exact[0].astype(jnp.bfloat16))
    for one, other in zip(found[1:], exact[1:], strict=True):
        assert one.dtype == jnp.float32
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_constant_vectors_have_finite_gradients():
    _, scale, bias = operands()[0]
    outputs, pull_back = jax.vjp(normed, jnp.full((1, 16), 3.0, jnp.float32), scale, bias)
    np.testing.assert_allclose(outputs[0], bias, atol=1e-5)
    chex.assert_tree_all_finite(pull_back(jnp.ones((1, 16), jnp.float32)))


def test_the_backward_pass_keeps_the_inputs_and_two_numbers_a_vector():
    (inputs, scale, bias), _ = operands()
    _, pull_back = jax.vjp(normed, inputs, scale, bias)
    kept = sum(leaf.size for leaf in jax.tree.leaves(pull_back))
    assert kept == inputs.size + 2 * 6 + 2 * 16
