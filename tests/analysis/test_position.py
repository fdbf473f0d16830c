"""Position biases as tables, rows and fits."""

import json

import numpy as np
import pytest

from gauss_vit.analysis.position import LearnedGaussian, analyse_position, row_of
from gauss_vit.analysis.token import all_tokens
from gauss_vit.position.term import MASKED


def gaussian_tables(sigmas, grid, *, heads=1):
    dy, dx = np.meshgrid(np.arange(1 - grid[0], grid[0]), np.arange(1 - grid[1], grid[1]), indexing="ij")
    tables = [4 * np.exp(-(dy**2 + dx**2) / (2 * sigma**2)) for sigma in sigmas]
    return np.repeat(np.stack(tables)[:, None], heads, axis=1)


def test_a_row_is_the_row_of_the_expanded_bias():
    height, width = grid = (3, 4)
    table = np.random.default_rng(0).normal(size=(5, 7))
    for row, column in all_tokens(grid):
        expected = [
            [table[row - key_row + height - 1, column - key_column + width - 1] for key_column in range(width)]
            for key_row in range(height)
        ]
        np.testing.assert_array_equal(row_of(table, (row, column), grid=grid), expected)


def test_rows_of_all_layers_come_at_once():
    tables = np.random.default_rng(0).normal(size=(2, 3, 5, 7))
    rows = row_of(tables, (2, 1), grid=(3, 4))
    assert rows.shape == (2, 3, 3, 4)
    np.testing.assert_array_equal(rows[1, 2], row_of(tables[1, 2], (2, 1), grid=(3, 4)))


def test_the_row_of_a_gaussian_peaks_at_its_patch():
    (tables,) = gaussian_tables([5.0], (10, 14))
    for token in [(0, 0), (9, 13), (4, 6)]:
        row = row_of(tables[0], token, grid=(10, 14))
        assert np.unravel_index(row.argmax(), row.shape) == token
        assert row.max() == 4


def test_the_fit_of_every_layer_is_the_papers():
    analysis = analyse_position(gaussian_tables([5.0, 3.0], (14, 14), heads=6), grid=(14, 14))
    assert analysis.depth == 2
    assert analysis.token == (6, 6)
    assert analysis.fits[0].r_squared == pytest.approx(0.995284, abs=5e-7)
    assert analysis.fits[0].sigma_x == pytest.approx(4.3274, abs=5e-5)
    assert analysis.fits[1].sigma_y == pytest.approx(2.9797, abs=5e-5)


def test_heads_are_averaged():
    tables = gaussian_tables([4.0], (6, 8), heads=2)
    tables[:, 0] *= 3
    analysis = analyse_position(tables, grid=(6, 8))
    np.testing.assert_allclose(analysis.tables[0], 2 * gaussian_tables([4.0], (6, 8))[0, 0])
    assert analysis.tables.dtype == np.float64


def test_heads_that_mask_an_offset_are_left_out():
    tables = np.arange(2 * 3 * 3 * 5, dtype=np.float64).reshape(2, 3, 3, 5)
    tables[0, 1, 0, 0] = tables[0, :, 0, 4] = MASKED
    analysis = analyse_position(tables, grid=(2, 3))
    # Offset 0: heads 0 and 2; offset 4, which no head sees: the smallest logit of the layer.
    np.testing.assert_allclose(analysis.tables[0, 0], [15, 16, 17, 18, 0])
    np.testing.assert_allclose(analysis.tables[1], tables[1].mean(axis=0))


def test_float32_tables_of_one_layer_and_head_are_taken():
    analysis = analyse_position(gaussian_tables([2.0], (5, 7)).astype(np.float32), grid=(5, 7), token=(0, 6))
    assert analysis.token == (0, 6)
    assert analysis.fits[0].center_x == pytest.approx(6, abs=0.1)


def test_json_has_one_record_a_layer_with_the_learned_gaussian():
    learned = LearnedGaussian(
        amplitude=np.array([[2.0], [-1.9]]), sigma_y=np.array([[5.0], [-4.0]]), sigma_x=np.array([[5.0], [4.0]])
    )
    analysis = analyse_position(gaussian_tables([5.0, 4.0], (10, 14)), grid=(10, 14), learned=learned)
    record = json.loads(json.dumps(analysis.to_json(), allow_nan=False))
    assert (record["grid"], record["token"]) == ([10, 14], [4, 6])
    assert [layer["layer"] for layer in record["layers"]] == [0, 1]
    assert record["layers"][1]["gaussian"] == {"amplitude": [-1.9], "sigma_y": [4.0], "sigma_x": [4.0]}
    assert record["layers"][0]["fit"]["sigma_x"] == analysis.fits[0].sigma_x


def test_a_layer_without_bias_has_no_fit_and_no_learned_gaussian_is_needed():
    analysis = analyse_position(np.zeros((1, 1, 5, 7)), grid=(3, 4))
    (layer,) = json.loads(json.dumps(analysis.to_json(), allow_nan=False))["layers"]
    assert layer["fit"]["r_squared"] is None
    assert "gaussian" not in layer


def test_a_table_of_another_grid_is_refused():
    with pytest.raises(ValueError, match=r"a grid of \(3, 4\) needs tables of \(5, 7\), got \(7, 5\)"):
        row_of(np.zeros((7, 5)), (0, 0), grid=(3, 4))
    with pytest.raises(ValueError, match="outside the grid"):
        row_of(np.zeros((5, 7)), (3, 0), grid=(3, 4))
