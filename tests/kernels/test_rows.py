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


def waves(value):
    """A cotangent of the shape of the mixed values, different everywhere."""
    return jnp.asarray(np.cos(np.arange(value.size)).reshape(value.shape), value.dtype)


def run(kernel, grid):
    return jax.jit(lambda query, key, value, table: attention(query, key, value, table=table, grid=grid, kernel=kernel))


def value_and_gradients(apply, cotangent, *operands):
    """The value, and the gradients of its product with a cotangent, by one program."""

    def both(cotangent, *operands):
        found, pull_back = jax.vjp(apply, *operands)
        return found, *pull_back(cotangent)

    return jax.jit(both)(cotangent, *operands)


@pytest.mark.parametrize("grid", [(3, 5), (5, 3), (1, 4), (4, 1)])
@pytest.mark.parametrize("heads_of_table", [1, 2])
def test_values_and_gradients_are_those_of_the_whole(grid, heads_of_table):
    operands = inputs(grid, heads_of_table)
    found, *gradients = value_and_gradients(run("rows", grid), waves(operands[2]), *operands)
    expected, *others = value_and_gradients(run("reference", grid), waves(operands[2]), *operands)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    for one, other in zip(gradients, others, strict=True):
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
    found, *gradients = value_and_gradients(run_prefixed("rows", grid, prefix), waves(operands[2]), *operands)
    expected, *others = value_and_gradients(run_prefixed("reference", grid, prefix), waves(operands[2]), *operands)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    for one, other in zip(gradients, others, strict=True):
        assert np.linalg.norm(other) > 0
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("prefix", [1, 2])
def test_prefix_tokens_without_logits_of_their_own_get_zeros(prefix):
    *operands, prefix_bias = prefixed((3, 5), prefix=prefix)
    zeros = jnp.zeros_like(prefix_bias)

    def rows(*parts):
        return run_prefixed("rows", (3, 5), prefix)(*parts, None)

    def reference(*parts):
        return run_prefixed("reference", (3, 5), prefix)(*parts, zeros)

    found, *gradients = value_and_gradients(rows, waves(operands[2]), *operands)
    expected, *others = value_and_gradients(reference, waves(operands[2]), *operands)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    for one, other in zip(gradients, others, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_no_table_is_no_bias():
    query, key, value, _ = inputs((3, 4))
    found = attention(query, key, value, table=None, grid=(3, 4), kernel="rows")
    np.testing.assert_allclose(found, attention(query, key, value, table=None, grid=(3, 4)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("prefix", [0, 2])
def test_bfloat16_stays_near_float32(prefix):
    operands = prefixed((4, 5), prefix=prefix)
    ones = jnp.ones_like(operands[2])
    expected = value_and_gradients(run_prefixed("reference", (4, 5), prefix), ones, *operands)
    half = (*(part.astype(jnp.bfloat16) for part in operands[:3]), *operands[3:])
    found = value_and_gradients(run_prefixed("rows", (4, 5), prefix), ones.astype(jnp.bfloat16), *half)
    assert found[0].dtype == jnp.bfloat16
    for one, other in zip(found, expected, strict=True):
        exact = np.asarray(other, np.float32)
        error = np.linalg.norm(np.asarray(one, np.float32) - exact) / np.maximum(np.linalg.norm(exact), 1e-6)
        # Eight bits of mantissa in every operand; the sum over values has a cotangent that nearly cancels in keys.
        assert error < 0.05


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
