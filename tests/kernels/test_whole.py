"""Attention with a backward pass of its own against differentiating the specification."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.kernels.einsum import attend_einsum
from gauss_vit.kernels.reference import attend, attention_logits, attention_weights
from gauss_vit.kernels.whole import attend_whole

KERNELS = pytest.mark.parametrize("kernel", [attend_whole, attend_einsum])


def inputs(bias_heads, windows=None, tokens=7):
    keys = jax.random.split(jax.random.key(0), 6)
    shape = (4, tokens, 3, 8)
    query, key, value, cotangent = (jax.random.normal(each, shape, jnp.float32) for each in keys[:4])
    bias, mask = (
        None if size is None else jax.random.normal(each, (size, tokens, tokens), jnp.float32)
        for each, size in zip(keys[4:], (bias_heads, windows), strict=True)
    )
    return (query, key, value, bias, mask), cotangent


def specification(query, key, value, bias, mask):
    logits = attention_logits(query, key, scale=1.0)
    if bias is not None:
        logits = logits + jnp.stack([jnp.broadcast_to(bias, logits.shape[1:])] * 4)
    if mask is not None:
        logits = logits + jnp.stack([jnp.stack([mask[image % len(mask)]] * 3) for image in range(4)])
    return attend(attention_weights(logits), value)


@KERNELS
@pytest.mark.parametrize("windows", [None, 1, 2, 4])
@pytest.mark.parametrize("bias_heads", [None, 1, 3])
def test_values_and_gradients_are_those_of_the_specification(bias_heads, windows, kernel):
    (*operands, mask), cotangent = inputs(bias_heads, windows)
    found, pull_back = jax.vjp(lambda *operands: kernel(*operands, mask), *operands)
    expected, expected_back = jax.vjp(lambda *operands: specification(*operands, mask), *operands)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    found, expected = pull_back(cotangent), expected_back(cotangent)
    assert (found[3] is None) == (bias_heads is None)
    chex.assert_trees_all_close(found, expected, rtol=1e-4, atol=1e-5)


@KERNELS
def test_large_logits_do_not_overflow(kernel):
    (query, key, value, bias, _), cotangent = inputs(3)
    outputs, pull_back = jax.vjp(kernel, query * 1e3, key, value, bias * 1e4)
    chex.assert_tree_all_finite((outputs, *pull_back(cotangent)))


@KERNELS
def test_bfloat16_stays_near_float32_and_gives_the_bias_a_float32_gradient(kernel):
    (*operands, _), cotangent = inputs(3)
    exact, exact_back = jax.vjp(kernel, *operands)
    half = tuple(each.astype(jnp.bfloat16) for each in operands[:3])
    found, pull_back = jax.vjp(kernel, *half, operands[3])
    gradients = pull_back(cotangent.astype(jnp.bfloat16))
    assert [each.dtype for each in gradients] == [jnp.bfloat16] * 3 + [jnp.float32]
    for one, other in zip((found, *gradients), (exact, *exact_back(cotangent)), strict=True):
        error = jnp.linalg.norm(one.astype(jnp.float32) - other) / jnp.linalg.norm(other)
        # Eight bits of mantissa in every operand: a relative error of about 2^-8 in each of a few products.
        assert float(error) < 0.02
