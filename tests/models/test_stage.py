"""A stage says where its blocks are: their parameters, their numbers, their grid and windows."""

import dataclasses

import jax
import numpy as np
import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.models.construct import abstract
from gauss_vit.models.presets import PRESETS
from gauss_vit.models.stage import stage_of_block
from gauss_vit.position.position import Position
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.position.terms.relative_mlp import RelativeMlp
from gauss_vit.tree import flatten_paths, subtree
from tests.models import test_swin, test_vit
from tests.networks import classifier

CONFIGS = {"vit": test_vit.RELATIVE, "class token": test_vit.PLAIN, "swin": test_swin.V1}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_paths_name_stacked_parameters_of_every_block(config):
    leaves = flatten_paths(abstract(classifier(config))[1])
    for stage in config.stages():
        stacked = jax.tree.leaves(subtree(leaves, stage.path))
        assert stacked and {leaf.shape[0] for leaf in stacked} == {stage.depth}
        names = set(subtree(leaves, stage.bias_path))
        assert names == {term.name for term in stage.terms}


@pytest.mark.parametrize("name", ["vit_relpos_small_patch16_224", "swin_small_patch4_window7_224", "cait_xxs24_224"])
def test_stages_hold_every_block_once_and_end_on_the_last_map(name):
    config = PRESETS[name]
    stages = config.stages()
    assert [stage.first for stage in stages] == [0, *np.cumsum([stage.depth for stage in stages])[:-1].tolist()]
    assert stages[-1].last == config.depth
    assert stages[-1].grid == config.grid
    for stage in stages:
        covered = [size * side for size, side in zip(stage.patch_size, stage.grid, strict=True)]
        assert covered == list(config.image_size)


def test_the_stages_of_a_swin_transformer_are_its_papers():
    stages = PRESETS["swin_tiny_patch4_window7_224"].stages()
    assert [(stage.grid, stage.window, stage.shift, stage.num_heads) for stage in stages] == [
        ((56, 56), (7, 7), (3, 3), 3),
        ((28, 28), (7, 7), (3, 3), 6),
        ((14, 14), (7, 7), (3, 3), 12),
        ((7, 7), (7, 7), (0, 0), 24),
    ]
    assert [stage.is_global for stage in stages] == [False, False, False, True]


def test_prefix_tokens_and_mixed_heads_are_said():
    (stage,) = test_vit.PLAIN.stages()
    assert (stage.prefix_tokens, stage.mixes_heads, stage.is_global) == (1, False, True)
    assert dataclasses.replace(test_vit.PLAIN, mixes_heads=True).stages()[0].mixes_heads
    assert test_vit.VARIANTS["registers"].stages()[0].prefix_tokens == 5


def test_terms_that_serve_all_blocks_are_apart_from_those_of_each():
    (stage,) = dataclasses.replace(
        test_vit.RELATIVE, position=Position(terms=(Gaussian(),), shared=(RelativeMlp(hidden=8),))
    ).stages()
    assert [term.name for term in stage.shared_terms] == ["relative_mlp"]
    assert [term.name for term in stage.terms] == ["gaussian"]


def test_blocks_are_numbered_from_1_through_all_stages():
    stages = test_swin.V1.stages()
    assert [stage_of_block(stages, block) for block in range(1, 6)] == [0, 0, 1, 1, 1]
    for block in (0, 6):
        with pytest.raises(ConfigError, match=f"no layer {block} in a model of 5"):
            stage_of_block(stages, block)


def test_blocks_have_places_from_0_to_1_through_all_stages():
    places = [stage.places for stage in test_swin.V1.stages()]
    np.testing.assert_allclose(np.concatenate(places), [0, 0.25, 0.5, 0.75, 1])
    (stage,) = dataclasses.replace(test_vit.RELATIVE, depth=1).stages()
    assert stage.places.tolist() == [0.0]


def test_fixed_windows_and_shifts_are_the_same_on_every_map():
    stages = dataclasses.replace(PRESETS["swin_tiny_patch4_window7_224"], windows="fixed", image_size=(64, 96)).stages()
    assert stages[-1].grid == (2, 3)
    assert {(stage.window, stage.shift, stage.pads_first) for stage in stages} == {((7, 7), (3, 3), True)}


def test_a_fixed_window_that_covers_the_map_is_still_shifted_and_so_not_global():
    (*_, last) = dataclasses.replace(PRESETS["swin_tiny_patch4_window7_224"], windows="fixed").stages()
    assert (last.grid, last.window, last.shift) == ((7, 7), (7, 7), (3, 3))
    assert not last.is_global
