"""The benchmark of position information that is no table: both sides are the same attention, and its bar."""

import jax
import numpy as np
import pytest

from benchmarks import no_table
from benchmarks.attention_sides import Case

CASE = Case(batch_size=2, grid=(3, 3), prefix_tokens=1, dtype="float32")


@pytest.mark.parametrize("name", no_table.POSITIONS)
def test_both_sides_compute_the_same(name):
    position = no_table.POSITIONS[name]
    inputs = no_table.inputs_of(CASE, position)
    found, expected = (no_table.compiled(CASE, position, kernel, inputs)(inputs) for kernel in ("rows", "reference"))
    for ours, formula in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        # Sums over all tokens, heads and channels differ in their order.
        np.testing.assert_allclose(ours, formula, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", no_table.POSITIONS)
def test_every_parameter_has_a_gradient(name):
    position = no_table.POSITIONS[name]
    inputs = no_table.inputs_of(CASE, position)
    _, gradients = no_table.compiled(CASE, position, "reference", inputs)(inputs)
    assert all(np.linalg.norm(leaf) > 0 for leaf in jax.tree.leaves(gradients[-1]))


def test_memory_is_judged_at_large_sizes_alone():
    found = {name: [10.0] for name in ("formula", "chosen")}, {name: [1.0] for name in ("formula", "chosen")}
    small, large = (
        no_table.table(Case(batch_size=1, grid=grid, prefix_tokens=0, dtype="float32"), "all", "rows", found)
        for grid in ((32, 32), (64, 64))
    )
    assert [row.at_most for row in small] == [None, None]
    assert [(row.what, row.at_most) for row in large] == [
        ("1 x 4096 tokens, all (rows): time", None),
        ("1 x 4096 tokens, all (rows): memory", 0.15),
    ]
