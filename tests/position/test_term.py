"""The algebra of bias terms: one table over offsets, sums, and its expansion to pairs of tokens."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gauss_vit.position import BiasTerm, Gaussian, RelativeMlp, RelativeTable, term

KEY = jax.random.key(0)
TERMS = (Gaussian(), Gaussian(per_head=True), RelativeTable(), RelativeMlp(), RelativeMlp(mode="swin"))


def offsets_table(grid, heads=2):
    shape = (heads, *term.offset_shape(grid))
    return jnp.arange(np.prod(shape), dtype=jnp.float32).reshape(shape)


@pytest.mark.parametrize("value", TERMS, ids=repr)
def test_every_term_keeps_the_protocol(value):
    assert isinstance(value, BiasTerm)
    params = value.init(KEY, grid=(3, 5), num_heads=4)
    table = value.table(params, (3, 5))
    assert table.shape[0] in (1, 4)
    assert table.shape[1:] == (5, 9)
    assert table.dtype == jnp.float32
    assert all(leaf.dtype == jnp.float32 and not leaf.weak_type for leaf in params.values())
    assert hash(value) == hash(value)


@pytest.mark.full
@settings(max_examples=15, deadline=None)
@given(height=st.integers(1, 4), width=st.integers(1, 5))
def test_bias_depends_only_on_the_offset_query_minus_key(height, width):
    grid = (height, width)
    table = np.asarray(offsets_table(grid))
    bias = np.asarray(term.expand(jnp.asarray(table), grid))
    for query in range(height * width):
        for key in range(height * width):
            dy, dx = query // width - key // width, query % width - key % width
            np.testing.assert_array_equal(bias[:, query, key], table[:, dy + height - 1, dx + width - 1])


def test_a_sum_of_terms_is_the_sum_of_their_tables():
    terms = (RelativeMlp(), Gaussian())
    params = term.init(terms, KEY, grid=(3, 4), num_heads=2)
    parts = term.tables(terms, params, (3, 4))
    total = term.table(terms, params, (3, 4))
    assert total.shape == (2, 5, 7)
    np.testing.assert_allclose(total, parts["relative_mlp"] + jnp.broadcast_to(parts["gaussian"], total.shape))


def test_no_terms_are_zero():
    assert not np.any(term.table((), {}, (2, 3)))
    assert term.table((), {}, (2, 3)).shape == (1, 3, 5)


def test_two_terms_of_one_name_are_refused():
    with pytest.raises(ValueError, match="different names"):
        term.init((Gaussian(), Gaussian(sigma=1.0)), KEY, grid=(2, 2), num_heads=1)


def test_prefix_tokens_get_no_bias():
    grid = (2, 3)
    bias = term.expand(offsets_table(grid), grid, prefix_tokens=2)
    assert bias.shape == (2, 8, 8)
    assert not np.any(bias[:, :2])
    assert not np.any(bias[:, :, :2])
    np.testing.assert_array_equal(bias[:, 2:, 2:], term.expand(offsets_table(grid), grid))


def test_a_table_of_another_grid_is_refused():
    with pytest.raises(ValueError, match=r"needs a table of \(3, 5\)"):
        term.expand(offsets_table((3, 3)), (2, 3))


def offset_index(grid):
    """Numbers the offset of every (query, key) pair, query minus key, row by row in a table over all offsets."""
    row, column = (axis.reshape(-1) for axis in np.indices(grid))
    vertical = row[:, None] - row[None, :] + grid[0] - 1
    horizontal = column[:, None] - column[None, :] + grid[1] - 1
    return vertical * (2 * grid[1] - 1) + horizontal


@pytest.mark.parametrize("grid", [(1, 1), (1, 5), (4, 1), (3, 4)])
def test_expansion_looks_up_the_offset_of_every_pair(grid):
    table = offsets_table(grid)
    expected = np.asarray(table).reshape(table.shape[0], -1)[:, offset_index(grid)]
    np.testing.assert_array_equal(term.expand(table, grid), expected)


def test_gradient_of_the_table_sums_over_pairs_of_equal_offset():
    grid = (2, 3)
    gradient = jax.grad(lambda table: jnp.sum(term.expand(table, grid)))(offsets_table(grid))
    pairs = np.zeros(term.offset_shape(grid))
    np.add.at(pairs.reshape(-1), offset_index(grid).reshape(-1), 1)
    np.testing.assert_array_equal(gradient, np.broadcast_to(pairs, gradient.shape))
