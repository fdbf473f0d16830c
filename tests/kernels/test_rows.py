"""Attention row by row against attention on whole rows of logits: values, gradients, and memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.kernels.attention import attention
from gauss_vit.ops.grid import num_patches, offset_shape


def inputs(grid, heads_of_table=2, dtype=jnp.float32, batch=2):
    keys = jax.random.split(jax.random.key(0), 4)
    shape = (batch, num_patches(grid), 2, 8)
    parts = tuple(jax.random.normal(key, shape, dtype) for key in keys[:3])
    return *parts, jax.random.normal(keys[3], (heads_of_table, *offset_shape(grid)), jnp.float32)


def run(kernel, grid):
    return jax.jit(lambda query, key, value, table: attention(query, key, value, table=table, grid=grid, kernel=kernel))


@pytest.mark.parametrize("grid", [(3, 5), (5, 3), (1, 4), (4, 1)])
@pytest.mark.parametrize("heads_of_table", [1, 2])
def test_values_and_gradients_are_those_of_the_whole(grid, heads_of_table):
    operands = inputs(grid, heads_of_table)
    found, pull_back = jax.vjp(run("rows", grid), *operands)
    expected, expected_back = jax.vjp(run("reference", grid), *operands)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    cotangent = jnp.cos(jnp.arange(found.size, dtype=jnp.float32)).reshape(found.shape)
    for one, other in zip(pull_back(cotangent), expected_back(cotangent), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def prefixed(grid, *, prefix, heads=(2, 2), dtype=jnp.float32, batch=2):
    """Operands of attention with prefix tokens; the table and the prefix tokens' logits have so many heads."""
    keys = jax.random.split(jax.random.key(1), 5)
    shape = (batch, prefix + num_patches(grid), 2, 8)
    parts = tuple(jax.random.normal(key, shape, dtype) for key in keys[:3])
    table = jax.random.normal(keys[3], (heads[0], *offset_shape(grid)), jnp.float32)
    return *parts, table, jax.random.normal(keys[4], (heads[1], 3), jnp.float32)


def run_prefixed(kernel, grid, prefix):
    def apply(query, key, value, table, prefix_bias):
        return attention(
            query, key, value, table=table, grid=grid, prefix_tokens=prefix, prefix_bias=prefix_bias, kernel=kernel
        )

    return jax.jit(apply)


@pytest.mark.parametrize(
    ("grid", "prefix", "heads", "batch"),
    [((3, 5), 1, (2, 2), 2), ((5, 3), 2, (1, 2), 1), ((1, 4), 3, (2, 1), 2), ((4, 1), 1, (1, 1), 1)],
)
def test_prefix_tokens_have_the_values_and_gradients_of_the_whole(grid, prefix, heads, batch):
    operands = prefixed(grid, prefix=prefix, heads=heads, batch=batch)
    found, pull_back = jax.vjp(run_prefixed("rows", grid, prefix), *operands)
    expected, expected_back = jax.vjp(run_prefixed("reference", grid, prefix), *operands)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    cotangent = jnp.cos(jnp.arange(found.size, dtype=jnp.float32)).reshape(found.shape)
    for one, other in zip(pull_back(cotangent), expected_back(cotangent), strict=True):
        assert float(jnp.linalg.norm(other)) > 0
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("prefix", [1, 2])
def test_prefix_tokens_without_logits_of_their_own_get_zeros(prefix):
    *operands, prefix_bias = prefixed((3, 5), prefix=prefix)
    zeros = jnp.zeros_like(prefix_bias)
    found, pull_back = jax.vjp(lambda *parts: run_prefixed("rows", (3, 5), prefix)(*parts, None), *operands)
    expected, expected_back = jax.vjp(
        lambda *parts: run_prefixed("reference", (3, 5), prefix)(*parts, zeros), *operands
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    for one, other in zip(pull_back(found), expected_back(found), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_no_table_is_no_bias():
    query, key, value, _ = inputs((3, 4))
    found = attention(query, key, value, table=None, grid=(3, 4), kernel="rows")
    np.testing.assert_allclose(found, attention(query, key, value, table=None, grid=(3, 4)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("prefix", [0, 2])
def test_bfloat16_stays_near_float32(prefix):
    operands = prefixed((4, 5), prefix=prefix)
    exact, exact_back = jax.vjp(run_prefixed("reference", (4, 5), prefix), *operands)
    half = (*(part.astype(jnp.bfloat16) for part in operands[:3]), *operands[3:])
    found, pull_back = jax.vjp(run_prefixed("rows", (4, 5), prefix), *half)
    assert found.dtype == jnp.bfloat16
    cotangent = jnp.ones_like(exact)
    for one, other in zip(
        (found, *pull_back(cotangent.astype(jnp.bfloat16))), (exact, *exact_back(cotangent)), strict=True
    ):
        error = jnp.linalg.norm(one.astype(jnp.float32) - other) / jnp.maximum(jnp.linalg.norm(other), 1e-6)
        # Eight bits of mantissa in every operand; the sum over values has a cotangent that nearly cancels in keys.
        assert float(error) < 0.05


def test_memory_grows_with_a_row_and_not_with_all_pairs():
    grid = (64, 64)
    query = jax.ShapeDtypeStruct((1, 4096, 6, 64), jnp.float32)
    table = jax.ShapeDtypeStruct((6, *offset_shape(grid)), jnp.float32)

    def temporary(kernel):
        def loss(*operands):
            return jnp.sum(jnp.square(run(kernel, grid)(*operands)))

        gradient = jax.jit(jax.grad(loss, argnums=(0, 1, 2, 3)))
        return gradient.lower(query, query, query, table).compile().memory_analysis().temp_size_in_bytes

    assert temporary("rows") <= 0.1 * temporary("reference")
