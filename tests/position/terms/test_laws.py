"""The laws that every position term keeps: its default in the default tier, its variants in the full tier."""

import functools
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.ops.grid import offset_shape
from gauss_vit.position import BiasTerm, RelativeTable, expand, term
from gauss_vit.position.terms.gaussian import Gaussian
from tests.position.terms.cases import CASES, DEFAULTS, GRID, NUM_HEADS, drawn, moved

EXTREMES = (0.0, 1e-12, 1e-6, 1e3, 1e6)
ROW = (1, 4)
every_term = pytest.mark.parametrize(
    "value",
    [pytest.param(value, id=name, marks=() if name in DEFAULTS else pytest.mark.full) for name, value in CASES.items()],
)


def weights_on(grid):
    shape = (NUM_HEADS, *offset_shape(grid))
    return np.sin(1 + np.arange(np.prod(shape), dtype=np.float32)).reshape(shape)


@functools.cache
def compiled(value, grid):
    """A function from parameters to a weighted sum of the table, where nothing cancels, the table, and a gradient."""
    weights = weights_on(grid)

    def total(params):
        table = value.table(params, grid)
        return jnp.sum(jnp.broadcast_to(table, weights.shape) * weights), table

    return jax.jit(jax.value_and_grad(total, has_aux=True))


def table_of(value, params, grid=GRID):
    (_, table), _ = compiled(value, grid)(params)
    return np.asarray(table)


@every_term
def test_it_is_a_value_with_a_float32_table_of_one_or_all_heads(value):
    assert isinstance(value, BiasTerm)
    assert hash(value) == hash(value)
    params = drawn(value)
    assert all(leaf.dtype == jnp.float32 and not leaf.weak_type for leaf in params.values())
    for dtype in (jnp.float32, jnp.bfloat16):
        cast = {name: jax.ShapeDtypeStruct(leaf.shape, dtype) for name, leaf in params.items()}
        table = jax.eval_shape(lambda params: value.table(params, GRID), cast)
        assert table.shape in {(heads, *offset_shape(GRID)) for heads in (1, NUM_HEADS)}
        assert table.dtype == jnp.float32


@every_term
def test_the_bias_depends_only_on_the_offset_query_minus_key(value):
    table, (height, width) = table_of(value, moved(value)), GRID
    bias = np.asarray(expand(jnp.asarray(np.broadcast_to(table, (NUM_HEADS, *table.shape[1:]))), GRID))
    for query, key in itertools.product(range(height * width), repeat=2):
        dy, dx = query // width - key // width, query % width - key % width
        expected = np.broadcast_to(table[:, dy + height - 1, dx + width - 1], (NUM_HEADS,))
        np.testing.assert_array_equal(bias[:, query, key], expected)


@every_term
def test_compiled_or_not_it_can_be_added_to_another(value):
    other = RelativeTable() if value.name != "relative" else Gaussian()
    params = {value.name: moved(value), other.name: moved(other)}
    total = term.table((value, other), params, GRID)
    parts = table_of(value, params[value.name]) + table_of(other, params[other.name])
    # Fused operations round once less.
    np.testing.assert_allclose(total, np.broadcast_to(parts, total.shape), rtol=2e-5, atol=2e-6)


@every_term
def test_zeroed_parameters_give_no_preference(value):
    params = moved(value)
    new = value.zero(params)
    assert new and set(new) <= set(params)
    table = table_of(value, {**params, **new})
    np.testing.assert_array_equal(table, np.zeros_like(table))


@every_term
@pytest.mark.parametrize("grid", [ROW, *(pytest.param(grid, marks=pytest.mark.full) for grid in ((1, 1), (5, 1)))])
def test_it_is_finite_on_any_grid_and_goes_to_another(value, grid):
    params = jax.tree.map(np.asarray, moved(value))
    there = value.resample(params, source=GRID, target=grid)
    table = table_of(value, jax.tree.map(jnp.asarray, there), grid)
    assert table.shape[1:] == offset_shape(grid)
    assert np.isfinite(table).all()
    chex.assert_trees_all_close(value.resample(params, source=GRID, target=GRID), params, atol=1e-6)
    assert value.is_tied_to_grid or there == params


@every_term
def test_table_and_gradient_are_finite_for_every_parameter(value):
    for size, sign in itertools.product(EXTREMES, (1, -1)):
        params = {
            name: jnp.asarray(np.full(leaf.shape, sign * size, np.float32)) for name, leaf in drawn(value).items()
        }
        chex.assert_tree_all_finite(compiled(value, GRID)(params))


@every_term
def test_every_parameter_has_a_gradient_at_the_start(value):
    _, gradient = compiled(value, GRID)(drawn(value))
    for name, leaf in gradient.items():
        assert np.abs(leaf).max() > 0, name


@every_term
def test_gradients_agree_with_finite_differences(value, monkeypatch):
    params = moved(value)
    _, gradient = compiled(value, GRID)(params)
    # A step of 1e-6 crosses few kinks of a ReLU, and float64 leaves nine digits of the quotient. Terms compute in
    # float32 by that name of JAX's, whatever their parameters are.
    monkeypatch.setattr(jnp, "float32", jnp.float64)
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        table = jax.jit(lambda params: value.table(params, GRID))
        doubles = {name: np.asarray(leaf, np.float64) for name, leaf in params.items()}
        for name, leaf in doubles.items():
            direction = np.cos(1 + np.arange(leaf.size)).reshape(leaf.shape)
            above, below = (np.asarray(table({**doubles, name: leaf + step * direction})) for step in (1e-6, -1e-6))
            assert above.dtype == np.float64
            parts = np.asarray(gradient[name], np.float64) * direction
            # The gradient's own rounding, and that of the sum over the table before it.
            tolerance = 1e-5 * (np.abs(parts).sum() + 1)
            assert np.sum((above - below) / 2e-6 * weights_on(GRID)) == pytest.approx(parts.sum(), abs=tolerance), name


@pytest.mark.full
@every_term
def test_stacked_layers_are_mapped(value):
    layers = [moved(value), drawn(value)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *layers)
    tables = jax.vmap(lambda params: value.table(params, GRID))(stacked)
    np.testing.assert_allclose(tables, [table_of(value, layer) for layer in layers], rtol=2e-5, atol=1e-6)


@every_term
def test_what_it_logs_is_one_finite_row_a_layer(value):
    stacked = {name: np.stack([leaf, 2 * np.asarray(leaf)]) for name, leaf in moved(value).items()}
    for name, numbers in value.numbers(stacked, GRID).items():
        assert numbers.ndim == 2 and numbers.shape[0] == 2, name
        assert np.isfinite(numbers).all(), name


@every_term
def test_what_is_never_decayed_is_a_parameter(value):
    assert set(value.undecayed) <= set(drawn(value))
