"""Positions made on another grid are found by their shapes and resampled; what fits or is none is left alone."""

import dataclasses

import numpy as np
import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.models import construct
from gauss_vit.ops.grid import Grid
from gauss_vit.ops.resize import resize_grid, resize_offset_table
from gauss_vit.position import RelativeTable
from gauss_vit.position.absolute import AbsoluteEmbedding
from gauss_vit.position.position import Position
from gauss_vit.position.term import MASKED
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.tree import flatten_paths, unflatten_paths
from gauss_vit.weights.names.naming import Expected
from gauss_vit.weights.resample_positions import Regrid, grids_of, is_position, positions_of, regridded
from tests.models import deterministic
from tests.networks import classifier
from tests.weights.hugging_face_models import SWIN, VIT

WIDE = dataclasses.replace(
    VIT, position=Position(terms=(RelativeTable(has_prefix=True),), absolute=AbsoluteEmbedding())
)  # 4 x 6 patches: tables of 7 x 11
TABLE = "backbone.blocks.attention.bias.relative.table_and_prefix"


def absolute(tokens: int, **grids) -> Grid | None:
    """The grid of so many tokens, of which one is the class token."""
    wanted = Expected(shape=(1, 25, 24), path="backbone.position_embed")
    return source_of(wanted, (1, tokens, 24), **grids)


def relative(rows: int, **grids) -> Grid | None:
    """The grid of a table of so many rows, of which three are for the class token."""
    return source_of(Expected(shape=(80, 2), path=TABLE), (rows, 2), **grids)


def source_of(wanted: Expected, shape: tuple[int, ...], *, stated=None, source_grid=None) -> Grid | None:
    found = positions_of(wanted, shape, WIDE)
    assert found is not None and found.target == (4, 6)
    return found.source(stated=stated, source_grid=source_grid)


def test_squares_are_found_by_their_size():
    assert absolute(197) == (14, 14) and relative(27 * 27 + 3) == (14, 14)


def test_other_sizes_need_their_grid_named_even_that_of_the_model():
    assert absolute(25) is None and relative(80) is None
    assert absolute(61) is None and relative(7 * 9 + 3) is None
    assert absolute(25, source_grid=(6, 4)) == (6, 4)
    assert absolute(25, source_grid=(4, 6)) == (4, 6)
    assert relative(7 * 9 + 3, source_grid=(4, 5)) == (4, 5)
    assert absolute(61, source_grid=(6, 11)) is None


def test_a_stated_grid_is_the_only_right_one():
    assert absolute(197, stated=(7, 28)) == (7, 28)
    assert absolute(197, stated=(7, 28), source_grid=(7, 28)) == (7, 28)
    assert absolute(197, stated=(7, 28), source_grid=(14, 14)) is None
    assert absolute(197, stated=(7, 29)) is None


def test_a_named_grid_of_another_size_is_ignored_as_by_the_last_stages_of_swin():
    assert absolute(197, source_grid=(7, 7)) == (14, 14)


def test_other_parameters_and_other_channels_are_left_alone():
    assert not is_position("head.linear.kernel", WIDE)
    assert is_position(TABLE, WIDE) and is_position("backbone.position_embed", WIDE)
    assert positions_of(Expected(shape=(5, 24), path="head.linear.kernel"), (9, 24), WIDE) is None
    wanted = Expected(shape=(1, 25, 24), path="backbone.position_embed")
    assert positions_of(wanted, (1, 197, 25), WIDE) is None
    assert positions_of(wanted, (197, 24), WIDE) is None


@pytest.mark.parametrize(("stage", "window"), [(0, (4, 4)), (2, (4, 4))])
def test_swin_tables_are_of_their_stages_window(stage, window):
    path = f"backbone.stages.{stage}.blocks.attention.bias.relative.table"
    found = positions_of(Expected(shape=(49, 2), path=path), (169, 2), SWIN)
    assert (found.target, found.num_extra) == (window, 0)
    assert found.source(stated=None, source_grid=None) == (7, 7)


def test_prefixes_stay_and_the_rest_is_resampled():
    tensor = deterministic.values("absolute", (1, 10, 2)).astype(np.float32)
    resized = Regrid(kind="absolute", source=(3, 3), target=(2, 5), num_extra=1)(tensor)
    assert resized.shape == (1, 11, 2) and resized.dtype == np.float32
    np.testing.assert_array_equal(resized[0, 0], tensor[0, 0])
    np.testing.assert_array_equal(resized[0, 1:].reshape(2, 5, 2), resize_grid(tensor[0, 1:].reshape(3, 3, 2), (2, 5)))

    table = deterministic.values("relative", (15 + 3, 2)).astype(np.float32)
    resized = Regrid(kind="relative", source=(2, 3), target=(3, 2), num_extra=3)(table)
    assert resized.shape == (18, 2)
    np.testing.assert_array_equal(resized[-3:], table[-3:])
    expected = resize_offset_table(table[:15].T.reshape(2, 3, 5), (5, 3))
    np.testing.assert_array_equal(resized[:15].T.reshape(2, 5, 3), expected)


def test_tables_with_masked_offsets_are_refused():
    table = np.zeros((15, 2), np.float32)
    table[3, 1] = MASKED
    with pytest.raises(ConfigError, match=r"masked offsets cannot be resampled from a grid of \(2, 3\) to \(3, 2\)"):
        Regrid(kind="relative", source=(2, 3), target=(3, 2), num_extra=0)(table)


def parameters(config):
    """Every parameter of a model, with numbers of its own."""
    leaves = flatten_paths(construct.abstract(classifier(config))[1])
    return {path: deterministic.values(path, leaf.shape).astype(np.float32) for path, leaf in leaves.items()}


def at(config, image_size):
    """The model for images of another size."""
    return dataclasses.replace(config, image_size=image_size)


FREE = dataclasses.replace(
    VIT,
    position=Position(
        terms=(
            RelativeTable(),
            Gaussian(),
        ),
        absolute=AbsoluteEmbedding(),
    ),
)


@pytest.mark.parametrize(("config", "taller"), [(WIDE, (8, 6)), (FREE, (3, 9)), (SWIN, (2, 2))], ids=str)
def test_own_parameters_fit_the_other_size_and_all_but_positions_stay(config, taller):
    patch = config.patch_size
    target = at(config, (taller[0] * patch[0], taller[1] * patch[1]))
    given = parameters(config)
    moved = flatten_paths(regridded(unflatten_paths(given), config, target=target))
    wanted = flatten_paths(construct.abstract(classifier(target))[1])
    assert {path: leaf.shape for path, leaf in moved.items()} == {path: leaf.shape for path, leaf in wanted.items()}
    for path, leaf in given.items():
        if not is_position(path, config):
            np.testing.assert_array_equal(moved[path], leaf)
    changed = [path for path in given if is_position(path, config) and moved[path].shape != given[path].shape]
    assert changed
    same = flatten_paths(regridded(unflatten_paths(given), config, target=config))
    for path, leaf in given.items():
        np.testing.assert_array_equal(same[path], leaf)


def test_own_positions_are_resampled_as_foreign_ones_are():
    target = at(WIDE, (8 * WIDE.patch_size[0], 6 * WIDE.patch_size[1]))
    given = parameters(WIDE)
    moved = flatten_paths(regridded(unflatten_paths(given), WIDE, target=target))
    absolute_rule = Regrid(kind="absolute", source=(4, 6), target=(8, 6), num_extra=1)
    np.testing.assert_array_equal(
        moved["backbone.position_embed"], absolute_rule(given["backbone.position_embed"][None])[0]
    )
    relative_rule = Regrid(kind="relative", source=(4, 6), target=(8, 6), num_extra=3)
    for block, tables in enumerate(given[TABLE]):
        np.testing.assert_array_equal(moved[TABLE][block], relative_rule(tables.T).T)


def test_grids_are_those_of_every_position_parameter():
    params = construct.abstract(classifier(FREE))[1]
    found = grids_of(FREE, params)
    assert set(found.values()) == {(4, 6)}
    assert {path.rpartition(".")[2] for path in found} == {"position_embed", "table", "amplitude", "sigma"}
    windows = grids_of(SWIN, construct.abstract(classifier(SWIN))[1])
    assert list(windows.values()) == [stage.window for stage in SWIN.stages()]


def test_positions_of_a_grid_with_as_many_patches_are_resampled():
    given = parameters(FREE)
    turned = at(FREE, (6 * FREE.patch_size[0], 4 * FREE.patch_size[1]))
    moved = flatten_paths(regridded(unflatten_paths(given), FREE, target=turned))
    embedding = Regrid(kind="absolute", source=(4, 6), target=(6, 4), num_extra=1)
    wanted = embedding(given["backbone.position_embed"][None])[0]
    np.testing.assert_array_equal(moved["backbone.position_embed"], wanted)
    assert moved["backbone.position_embed"].shape == given["backbone.position_embed"].shape
    assert not np.array_equal(moved["backbone.position_embed"], given["backbone.position_embed"])
