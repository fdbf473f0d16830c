"""Factors by depth and by path."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.models import construct
from gauss_vit.models.presets import PRESETS
from gauss_vit.train.loop import Run, fit
from gauss_vit.train.optim import LAMB, AdamW, Constant, LearningRateScale, Lion, Optimizer, Rule, Schedule
from gauss_vit.train.optim.lr_scale import rate_factors, trainable_mask
from gauss_vit.tree import flatten_paths
from tests.networks import classifier
from tests.train.bits import trace_of
from tests.train.toy import TRAINING, run_in


def factors_of(preset: str, rates: LearningRateScale) -> dict[str, np.ndarray]:
    return flatten_paths(rate_factors(rates, construct.abstract(classifier(PRESETS[preset]))[1]))


def test_vision_transformer_decays_as_beit_does():
    factors = factors_of("deit_tiny_patch16_224", LearningRateScale(layer_decay=0.5))
    blocks = factors["backbone.blocks.mlp.fc1.kernel"]
    assert blocks.shape == (12, 1, 1) and blocks.dtype == np.float32
    np.testing.assert_allclose(blocks[:, 0, 0], [0.5 ** (12 - index) for index in range(12)], rtol=1e-6)
    for path in ("backbone.patch_embed.kernel", "backbone.class_token", "backbone.position_embed"):
        np.testing.assert_allclose(factors[path], 0.5**13, rtol=1e-6)
    for path in ("backbone.norm.scale", "head.linear.kernel", "head.linear.bias"):
        assert factors[path] == 1.0


def test_depth_counts_over_the_stages_of_swin():
    factors = factors_of("swin_tiny_patch4_window7_224", LearningRateScale(layer_decay=0.9))
    powers = {path: np.round(np.log(factor) / np.log(0.9)).astype(int) for path, factor in factors.items()}
    assert powers["backbone.patch_embed.kernel"] == powers["backbone.patch_norm.scale"] == 13
    assert powers["backbone.stages.0.blocks.norm1.scale"][:, 0].tolist() == [12, 11]
    assert powers["backbone.stages.2.merging.reduction.kernel"] == 8
    assert powers["backbone.stages.2.blocks.norm1.scale"][:, 0].tolist() == [8, 7, 6, 5, 4, 3]
    assert powers["backbone.stages.3.blocks.norm1.scale"][:, 0].tolist() == [2, 1]
    assert powers["backbone.norm.scale"] == 0


def test_attention_pooling_comes_after_the_blocks():
    factors = factors_of("vit_base_patch16_siglip_224", LearningRateScale(layer_decay=0.5))
    pooling = {path: factor for path, factor in factors.items() if path.startswith("backbone.attention_pool.")}
    assert pooling and all(factor == 1.0 for factor in pooling.values())


def test_class_blocks_come_after_the_blocks():
    factors = factors_of("cait_xxs24_224", LearningRateScale(layer_decay=0.5))
    np.testing.assert_allclose(factors["backbone.class_blocks.query.bias"][:, 0], [0.25, 0.5], rtol=1e-6)
    np.testing.assert_allclose(factors["backbone.blocks.norm1.bias"][-1], 0.125, rtol=1e-6)


def test_rules_multiply_the_decay_and_the_first_decides():
    rates = LearningRateScale(layer_decay=0.5, factors=((r"head\..*", 10.0), (r".*bias", 3.0)))
    factors = factors_of("deit_tiny_patch16_224", rates)
    assert factors["head.linear.bias"] == 10.0
    np.testing.assert_allclose(factors["backbone.blocks.norm1.bias"][11], 1.5)
    np.testing.assert_allclose(factors["backbone.blocks.norm1.scale"][11], 0.5)


def test_factors_broadcast_against_every_parameter():
    for preset in ("swinv2_small_window8_256", "vit_srelpos_small_patch16_224", "beit_base_patch16_224"):
        params = construct.abstract(classifier(PRESETS[preset]))[1]
        factors = flatten_paths(rate_factors(LearningRateScale(layer_decay=0.7), params))
        for path, leaf in flatten_paths(params).items():
            assert np.broadcast_shapes(leaf.shape, factors[path].shape) == leaf.shape, path


def test_frozen_patterns_name_what_does_not_move():
    params = {"patch_embed": {"kernel": 0}, "head": {"kernel": 0}}
    mask = trainable_mask(LearningRateScale(frozen=(r"patch_embed\..*",)), params)
    assert mask == {"patch_embed": {"kernel": False}, "head": {"kernel": True}}
    with pytest.raises(ConfigError, match="matches no parameter"):
        trainable_mask(LearningRateScale(frozen=("nothing",)), params)


def constant(rule: Rule, scale: LearningRateScale, *, learning_rate: float) -> Optimizer:
    return Optimizer(
        rule=rule,
        learning_rate=learning_rate,
        weight_decay=0.05,
        schedule=Schedule(curve=Constant()),
        learning_rate_scale=scale,
    )


OPTIMIZERS = {
    "frozen": constant(AdamW(), LearningRateScale(frozen=("amplitude",)), learning_rate=0.01),
    "lamb": dataclasses.replace(
        constant(LAMB(), LearningRateScale(factors=(("bias", 0.1),)), learning_rate=0.01), max_gradient_norm=1.0
    ),
    "lion": constant(Lion(), LearningRateScale(layer_decay=0.9), learning_rate=0.001),
}


@pytest.mark.parametrize("name", ["frozen", "lamb", pytest.param("lion", marks=pytest.mark.full)])
def test_state_of_every_optimizer_goes_through_checkpoints(tmp_path: Path, name: str):
    def run(folder: str, num_steps: int) -> Run:
        training = dataclasses.replace(TRAINING, num_steps=num_steps)
        return run_in(tmp_path / folder, training, optimizer=OPTIMIZERS[name])

    fit(run("whole", 10))
    fit(run("parts", 5))
    fit(run("parts", 10))
    whole, parts = (trace_of(tmp_path / folder)[2].leaves for folder in ("whole", "parts"))
    assert whole == parts
    assert any("1.nu" in path or ".mu" in path for path in whole)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer_decay": 0.0}, "layer_decay must be in"),
        ({"layer_decay": 1.5}, "layer_decay must be in"),
        ({"factors": (("a", -1.0),)}, "factors must be"),
        ({"factors": (("(", 1.0),)}, "factors pattern"),
        ({"frozen": ("(",)}, "frozen pattern"),
    ],
)
def test_nonsense_is_refused(change: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(LearningRateScale(), **change)
