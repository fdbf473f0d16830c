"""Swin's weights go to timm's names and back without a change."""

import chex
import jax
import numpy as np
import pytest

from gauss_vit.errors import CheckpointError
from gauss_vit.models.construct import abstract
from gauss_vit.models.presets import PRESETS
from gauss_vit.weights.names import naming
from gauss_vit.weights.names.timm_swin_names import swin_rules
from tests.models.test_swin import CONFIGS, GAUSSIANS
from tests.networks import classifier


def params_of(config):
    random = np.random.default_rng(0)
    shapes = abstract(classifier(config))[1]
    return jax.tree.map(lambda leaf: random.normal(size=leaf.shape).astype(np.float32), shapes)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_there_and_back_is_the_identity(config):
    rules, params = swin_rules(config), params_of(config)
    restored = naming.from_theirs(naming.to_theirs(params, rules), rules, abstract(classifier(config))[1])
    assert jax.tree.structure(restored) == jax.tree.structure(params)
    chex.assert_trees_all_equal(restored, params)


def shapes_of(name):
    config = PRESETS[name]
    zeros = jax.tree.map(lambda leaf: np.broadcast_to(np.float32(0), leaf.shape), abstract(classifier(config, 1000))[1])
    return {theirs: array.shape for theirs, array in naming.to_theirs(zeros, swin_rules(config)).items()}


def test_names_and_shapes_are_timms():
    shapes = shapes_of("swin_tiny_patch4_window7_224")
    # timm's state has this many tensors.
    assert len(shapes) == 173
    assert shapes["layers.2.blocks.5.attn.relative_position_bias_table"] == (169, 12)
    assert shapes["layers.1.downsample.reduction.weight"] == (192, 384)
    assert shapes["layers.3.downsample.norm.bias"] == (1536,)
    assert shapes["patch_embed.norm.weight"] == (96,)
    assert shapes["head.fc.weight"] == (1000, 768)
    assert "layers.0.downsample.norm.weight" not in shapes


def test_names_and_shapes_of_version_2_are_timms():
    shapes = shapes_of("swinv2_base_window16_256")
    assert shapes["layers.2.blocks.17.attn.logit_scale"] == (16, 1, 1)
    assert shapes["layers.0.blocks.1.attn.cpb_mlp.0.weight"] == (512, 2)
    assert shapes["layers.0.blocks.1.attn.cpb_mlp.2.weight"] == (4, 512)
    assert shapes["layers.3.blocks.0.attn.q_bias"] == (1024,)
    assert shapes["layers.3.downsample.norm.bias"] == (1024,)
    assert "layers.0.blocks.0.attn.qkv.bias" not in shapes


def test_names_and_shapes_of_cr_are_timms():
    shapes = shapes_of("swinv2_cr_small_ns_224")
    assert shapes["stages.2.blocks.17.norm3.weight"] == (384,)
    assert shapes["stages.3.blocks.1.norm3.bias"] == (768,)
    assert shapes["stages.1.downsample.norm.weight"] == (384,)
    assert shapes["stages.0.blocks.1.attn.logit_scale"] == (3,)
    assert shapes["stages.0.blocks.1.attn.meta_mlp.fc1.weight"] == (384, 2)
    assert shapes["stages.0.blocks.1.attn.meta_mlp.fc2.bias"] == (3,)
    assert "stages.2.blocks.16.norm3.weight" not in shapes and "norm.weight" not in shapes
    assert "stages.0.blocks.1.norm3.weight" not in shapes_of("swinv2_cr_small_224")


def test_a_gaussian_has_no_name_there():
    config = GAUSSIANS["v1, shared"]
    with pytest.raises(CheckpointError, match=r"backbone\.stages\.0\.blocks\.attention\.bias\.gaussian\.amplitude"):
        naming.to_theirs(params_of(config), swin_rules(config))
