"""Attention with a Gaussian for every query: row by row as by the formula, with less memory, and chosen by the rule."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.kernels.attention import attention
from gauss_vit.kernels.choice import AttentionShape, choose, cudnn_obstacle, describe
from gauss_vit.ops.grid import Grid, num_patches, offset_shape
from gauss_vit.train import mesh as meshes
from gauss_vit.train.mesh import MeshConfig
from tests.kernels.test_rows import value_and_gradients, waves

HEADS, CHANNELS, SQUARE = 2, 8, 9.0
SHAPE = AttentionShape(num_patches=196, head_channels=64, has_gaussians=True)


def inputs(grid, *, prefix=0, batch=2, dtype=jnp.float32):
    """Queries, keys, values, Gaussians and a table."""
    keys = jax.random.split(jax.random.key(0), 5)
    shape = (batch, prefix + num_patches(grid), HEADS, CHANNELS)
    parts = tuple(jax.random.normal(key, shape, dtype) for key in keys[:3])
    gaussians = jax.random.uniform(keys[3], (batch, HEADS, num_patches(grid), 3), jnp.float32, 0.1, 2.0)
    return *parts, gaussians, jax.random.normal(keys[4], (HEADS, *offset_shape(grid)), jnp.float32)


def run(kernel, grid: Grid, *, prefix=0):
    def apply(query, key, value, gaussians, table=None):
        named = {"gaussians": gaussians, "largest_square": SQUARE, "kernel": kernel}
        return attention(query, key, value, table=table, grid=grid, prefix_tokens=prefix, **named)

    return apply


def formula(query, key, value, gaussians, table, *, grid, prefix):
    """Attention in float64, the bias of every pair looked up."""
    tokens = prefix + num_patches(grid)
    logits = np.einsum("bqhc,bkhc->bhqk", *(np.asarray(each, np.float64) for each in (query, key))) * CHANNELS**-0.5
    strength, down, across = np.moveaxis(np.asarray(gaussians, np.float64), -1, 0)
    for one in range(prefix, tokens):
        for other in range(prefix, tokens):
            (row, column), (row_2, column_2) = divmod(one - prefix, grid[1]), divmod(other - prefix, grid[1])
            dy, dx = row - row_2, column - column_2
            squares = min(dy**2, SQUARE), min(dx**2, SQUARE)
            own = one - prefix
            exponents = down[..., own] * squares[0] / 2 + across[..., own] * squares[1] / 2
            logits[:, :, one, other] += strength[..., own] * np.exp(-exponents)
            logits[:, :, one, other] += np.asarray(table)[:, dy + grid[0] - 1, dx + grid[1] - 1]
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return np.einsum("bhqk,bkhc->bqhc", weights / weights.sum(-1, keepdims=True), np.asarray(value, np.float64))


@pytest.mark.parametrize("kernel", ["reference", "rows"])
@pytest.mark.parametrize(("grid", "prefix", "batch"), [((3, 5), 0, 2), ((5, 2), 1, 1)])
def test_outputs_are_those_of_the_formula(kernel, grid, prefix, batch):
    operands = inputs(grid, prefix=prefix, batch=batch)
    expected = formula(*operands, grid=grid, prefix=prefix)
    apply = run(kernel, grid, prefix=prefix)
    np.testing.assert_allclose(apply(*operands), expected, rtol=1e-5, atol=2e-6)
    np.testing.assert_allclose(jax.jit(apply)(*operands), expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("has_table", [True, False])
@pytest.mark.parametrize(("grid", "prefix", "batch"), [((3, 5), 0, 2), ((5, 3), 2, 1), ((1, 4), 1, 1)])
def test_gradients_of_rows_are_those_of_the_differentiated_formula(grid, prefix, batch, has_table):
    operands = inputs(grid, prefix=prefix, batch=batch)[: None if has_table else 4]
    found = value_and_gradients(run("rows", grid, prefix=prefix), waves(operands[2]), *operands)
    expected = value_and_gradients(run("reference", grid, prefix=prefix), waves(operands[2]), *operands)
    for one, other in zip(found, expected, strict=True):
        assert np.linalg.norm(other) > 0
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_bfloat16_stays_near_float32():
    grid = (4, 5)
    operands, half = inputs(grid, prefix=1), inputs(grid, prefix=1, dtype=jnp.bfloat16)
    expected = value_and_gradients(run("reference", grid, prefix=1), jnp.ones_like(operands[2]), *operands)
    rounded = (*(each.astype(jnp.bfloat16) for each in operands[:3]), *operands[3:])
    found = value_and_gradients(run("rows", grid, prefix=1), jnp.ones_like(half[2]), *rounded)
    assert found[0].dtype == jnp.bfloat16
    for one, other in zip(found, expected, strict=True):
        exact = np.asarray(other, np.float32)
        # Eight bits of mantissa in every operand, as in `test_rows`.
        assert np.linalg.norm(np.asarray(one, np.float32) - exact) < 0.05 * np.linalg.norm(exact)


def test_dropped_weights_and_masks_are_computed_by_the_formula():
    grid = (2, 3)
    query, key, value, gaussians, table = inputs(grid)
    mask = jnp.where(jnp.eye(6, dtype=bool), 0.0, -100.0)[None].astype(jnp.float32)
    named = {"table": table, "grid": grid, "gaussians": gaussians, "largest_square": SQUARE}
    np.testing.assert_allclose(attention(query, key, value, mask=mask, **named), value, atol=1e-6)
    dropped = {"dropout_rate": 1e-6, "dropout_key": jax.random.key(0)}
    np.testing.assert_allclose(
        attention(query, key, value, **dropped, **named), attention(query, key, value, **named), atol=1e-4
    )


@pytest.mark.parametrize("kernel", ["rows", "reference"])
@pytest.mark.parametrize("tensor", [1, 2])
def test_devices_that_share_heads_compute_their_own_gaussians(kernel, tensor):
    mesh = meshes.make(MeshConfig(slices=2, data=1, fsdp=1, tensor=tensor), jax.devices())
    grid = (2, 3)
    operands = inputs(grid)

    def loss(*operands):
        return jnp.sum(run(kernel, grid)(*operands) ** 2)

    def on_mesh(*operands):
        with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
            return loss(*operands)

    every = (0, 1, 2, 3, 4)
    expected = jax.jit(jax.value_and_grad(loss, argnums=every))(*operands)
    spread = [jax.device_put(each, meshes.batch_sharding(mesh)) for each in operands[:4]]
    found = jax.jit(jax.value_and_grad(on_mesh, argnums=every))(*spread, operands[4])
    jax.tree.map(lambda ours, whole: np.testing.assert_allclose(ours, whole, rtol=1e-4, atol=1e-5), found, expected)


@pytest.mark.parametrize(
    ("change", "kernel"),
    [
        ({}, "reference"),
        ({"platform": "tpu"}, "reference"),
        ({"num_patches": 1024}, "rows"),
        ({"num_patches": 4096, "prefix_tokens": 1}, "rows"),
        ({"num_patches": 4096, "has_mask": True}, "reference"),
        ({"num_patches": 4096, "drops_weights": True}, "reference"),
    ],
)
def test_the_rule_takes_what_can_compute_them(change, kernel):
    shape = dataclasses.replace(SHAPE, **change)
    assert choose(shape) == kernel
    assert describe(shape).startswith(f"{kernel} (")


def test_show_says_why_it_is_the_reference():
    assert describe(SHAPE) == "reference (every query has a Gaussian of its own)"
    assert "every query has a Gaussian" in cudnn_obstacle(dataclasses.replace(SHAPE, num_patches=4096))


@pytest.mark.parametrize("kernel", ["whole", "einsum"])
def test_kernels_of_one_bias_for_all_examples_are_refused(kernel):
    with pytest.raises(ConfigError, match="every query has a Gaussian of its own"):
        choose(SHAPE, kernel)


def test_memory_grows_with_a_row_and_not_with_all_pairs():
    grid = (64, 64)
    query = jax.ShapeDtypeStruct((1, 4096, 6, 64), jnp.float32)
    gaussians = jax.ShapeDtypeStruct((1, 6, 4096, 3), jnp.float32)

    def temporary(kernel):
        def loss(*operands):
            return jnp.sum(jnp.square(run(kernel, grid)(*operands)))

        gradient = jax.jit(jax.grad(loss, argnums=(0, 1, 2, 3)))
        return gradient.lower(query, query, query, gaussians).compile().memory_analysis().temp_size_in_bytes

    assert temporary("rows") <= 0.15 * temporary("reference")
