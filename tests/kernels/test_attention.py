"""Attention against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.kernels.attention import attention
from gauss_vit.position.term import expand, offset_shape

pytestmark = pytest.mark.optimized

GRID = (2, 3)
attention_of = jax.jit(attention, static_argnames=("grid", "prefix_tokens"))


def inputs(tokens, dtype=jnp.float32):
    keys = jax.random.split(jax.random.key(0), 4)
    query, key, value = (jax.random.normal(each, (2, tokens, 2, 4), dtype) for each in keys[:3])
    return query, key, value, jax.random.normal(keys[3], (2, *offset_shape(GRID)), jnp.float32)


def oracle(query, key, value, bias):
    query, key, value = (np.asarray(each, np.float64) for each in (query, key, value))
    logits = np.einsum("bqhc,bkhc->bhqk", query, key) / 2 + np.asarray(bias)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    return np.einsum("bhqk,bkhc->bqhc", weights, value)


@pytest.mark.parametrize("prefix", [0, 1])
def test_bias_is_added_after_the_scaling(prefix):
    query, key, value, table = inputs(6 + prefix)
    mixed = attention_of(query, key, value, table=table, grid=GRID, prefix_tokens=prefix)
    expected = oracle(query, key, value, expand(table, GRID, prefix_tokens=prefix))
    np.testing.assert_allclose(mixed, expected, rtol=1e-5, atol=1e-6)


def test_no_table_is_a_table_of_zeros():
    query, key, value, table = inputs(6)
    plain = attention_of(query, key, value, table=None, grid=GRID)
    np.testing.assert_allclose(plain, attention_of(query, key, value, table=table * 0, grid=GRID), rtol=1e-6)
    np.testing.assert_allclose(plain, oracle(query, key, value, 0), rtol=1e-5, atol=1e-6)


def test_a_constant_bias_changes_nothing():
    query, key, value, table = inputs(6)
    shifted = attention_of(query, key, value, table=table + 3, grid=GRID)
    np.testing.assert_allclose(shifted, attention_of(query, key, value, table=table, grid=GRID), rtol=1e-5, atol=1e-6)


def test_one_table_serves_all_heads():
    query, key, value, table = inputs(6)
    shared = attention_of(query, key, value, table=table[:1], grid=GRID)
    repeated = attention_of(query, key, value, table=jnp.repeat(table[:1], 2, axis=0), grid=GRID)
    np.testing.assert_allclose(shared, repeated, rtol=1e-6)


def test_the_table_has_a_gradient():
    query, key, value, table = inputs(6)

    def loss(table):
        return jnp.sum(jnp.square(attention_of(query, key, value, table=table, grid=GRID)))

    gradient = jax.jit(jax.grad(loss))(table)
    step = 1e-3
    moved = table.at[1, 0, 2].add(step)
    assert float(gradient[1, 0, 2]) == pytest.approx(
        (float(loss(moved)) - float(loss(table))) / step, rel=0.05, abs=1e-3
    )


def test_bfloat16_stays_near_float32_and_keeps_its_type():
    exact = inputs(6)
    half = [each.astype(jnp.bfloat16) for each in exact[:3]]
    mixed = attention_of(*half, table=exact[3], grid=GRID)
    assert mixed.dtype == jnp.bfloat16
    # Eight bits of mantissa in the inputs and in the weights.
    np.testing.assert_allclose(
        mixed.astype(jnp.float32), attention_of(*exact[:3], table=exact[3], grid=GRID), atol=0.04
    )


@pytest.mark.parametrize("kernel", ["reference", "whole", "einsum", "rows"])
def test_gradients_in_bfloat16_stay_near_those_in_float32(kernel):
    # As large as layers are: small products take other ways through XLA:CPU, which has none for some layouts.
    shape, grid = (2, 196, 6, 64), (14, 14)
    keys = jax.random.split(jax.random.key(0), 4)
    operands = [jax.random.normal(each, shape) for each in keys[:3]]
    table = jax.random.normal(keys[3], (6, *offset_shape(grid)))

    def gradients(dtype):
        def total(query, key, value, table):
            mixed = attention(query, key, value, table=table, grid=grid, kernel=kernel)
            return jnp.sum(jnp.square(mixed.astype(jnp.float32)))

        half = [each.astype(dtype) for each in operands]
        return jax.jit(jax.grad(total, argnums=(0, 1, 2, 3)))(*half, table)

    for found, exact in zip(gradients(jnp.bfloat16), gradients(jnp.float32), strict=True):
        difference = np.asarray(found, np.float64) - np.asarray(exact, np.float64)
        assert np.linalg.norm(difference) <= 2e-2 * np.linalg.norm(np.asarray(exact, np.float64))


def test_dropped_weights_keep_the_mean():
    query, key, value, table = inputs(6)
    still = attention_of(query, key, value, table=table, grid=GRID)
    draw = jax.jit(
        jax.vmap(lambda k: attention(query, key, value, table=table, grid=GRID, dropout_rate=0.3, dropout_key=k))
    )
    drawn = draw(jax.random.split(jax.random.key(3), 2000))
    # 2,000 draws of deviation about 0.7 leave 0.016; four of them.
    np.testing.assert_allclose(jnp.mean(drawn, axis=0), still, atol=0.07)
