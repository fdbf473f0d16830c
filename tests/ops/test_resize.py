"""Resampled positions equal timm's, and keep what resampling must keep."""

from pathlib import Path

import numpy as np
import pytest

from gauss_vit.ops.grid import offset_shape
from gauss_vit.ops.resize import bicubic_matrix, offset_matrix, resize_grid, resize_offset_table
from tests.models import deterministic

RECORDED = np.load(Path(__file__).with_name("resize_reference.npz"))
PAIRS = [name.removeprefix("absolute.") for name in RECORDED.files if name.startswith("absolute.")]


def grids_of(pair):
    return [tuple(int(size) for size in grid.split("x")) for grid in pair.split(".")]


@pytest.mark.parametrize("pair", PAIRS)
def test_absolute_embeddings_equal_timms(pair):
    source, target = grids_of(pair)
    values = deterministic.values("absolute", (1, 1 + source[0] * source[1], 2)).astype(np.float32)
    resized = resize_grid(values[0, 1:].reshape(*source, 2), target)
    # Both sum some 16 float32 products of numbers below 1.
    np.testing.assert_allclose(resized.reshape(-1, 2), RECORDED[f"absolute.{pair}"][0, 1:], atol=1e-5)


@pytest.mark.parametrize("pair", PAIRS)
def test_relative_tables_equal_timms(pair):
    source, target = grids_of(pair)
    values = deterministic.values("relative", (np.prod(offset_shape(source)), 3)).astype(np.float32)
    resized = resize_offset_table(values.T.reshape(3, *offset_shape(source)), offset_shape(target))
    np.testing.assert_allclose(resized.reshape(3, -1).T, RECORDED[f"relative.{pair}"], atol=1e-5)


@pytest.mark.parametrize("matrix", [bicubic_matrix, offset_matrix])
@pytest.mark.parametrize("sizes", [(7, 13), (13, 7), (27, 47), (1, 5), (5, 1)])
def test_constants_stay_constant(matrix, sizes):
    weights = matrix(*sizes)
    assert weights.shape == sizes[::-1]
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize("matrix", [bicubic_matrix, offset_matrix])
def test_symmetry_is_kept(matrix):
    weights = matrix(13, 27)
    np.testing.assert_allclose(weights, weights[::-1, ::-1], atol=1e-12)


def test_same_shape_is_the_identity():
    table = deterministic.values("table", (2, 5, 7)).astype(np.float32)
    np.testing.assert_array_equal(resize_offset_table(table, (5, 7)), table)
    np.testing.assert_array_equal(resize_grid(table, (2, 5)), table)


def test_offset_zero_keeps_its_value():
    table = deterministic.values("table", (2, 5, 7)).astype(np.float32)
    resized = resize_offset_table(table, (9, 11))
    np.testing.assert_allclose(resized[:, 4, 5], table[:, 2, 3], rtol=1e-6)


def test_bicubic_interpolation_reproduces_a_ramp_inside():
    ramp = np.arange(8.0)
    resized = bicubic_matrix(8, 16) @ ramp
    np.testing.assert_allclose(resized[4:12], (np.arange(16) + 0.5)[4:12] / 2 - 0.5, atol=1e-12)
