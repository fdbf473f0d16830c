"""Every preset is the architecture of its name: parameter counts, and the Gaussian on each of them."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from gauss_vit.errors import ConfigError
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.heads.stock import stock_head
from gauss_vit.models.construct import abstract
from gauss_vit.models.presets import PRESETS
from gauss_vit.position import Gaussian
from gauss_vit.position.position import with_terms
from gauss_vit.weights.names import naming
from gauss_vit.weights.names.name_tables import timm_rules
from tests.models.presets.structure import RECORD, digest, summary

# Counts of timm 1.0.31 (and 0.6.7) for 1,000 classes.
COUNTS = {
    "vit_small_patch16_224": 22_050_664,
    "vit_base_patch16_224": 86_567_656,
    "vit_large_patch16_224": 304_326_632,
    "vit_base_patch32_224": 88_224_232,
    "vit_base_patch8_224": 86_576_872,
    "vit_base_patch16_384": 86_859_496,
    "deit_tiny_patch16_224": 5_717_416,
    "deit_small_patch16_224": 22_050_664,
    "deit_base_patch16_224": 86_567_656,
    "deit_tiny_distilled_patch16_224": 5_910_800,
    "deit_small_distilled_patch16_224": 22_436_432,
    "deit_base_distilled_patch16_224": 87_338_192,
    "deit3_small_patch16_224": 22_059_496,
    "deit3_base_patch16_224": 86_585_320,
    "deit3_large_patch16_224": 304_374_760,
    "vit_relpos_small_patch16_224": 21_983_920,
    "vit_relpos_medium_patch16_224": 38_747_208,
    "vit_relpos_base_patch16_224": 86_429_560,
    "vit_relpos_medium_patch16_cls_224": 38_764_616,
    "vit_relpos_base_patch16_clsgap_224": 86_430_328,
    "vit_srelpos_small_patch16_224": 21_973_486,
    "vit_srelpos_medium_patch16_224": 38_735_856,
    "beit_base_patch16_224": 86_530_984,
    "beit_large_patch16_224": 304_430_568,
    "cait_xxs24_224": 11_956_264,
    "cait_xxs36_224": 17_299_720,
    "cait_s24_224": 46_916_200,
    "vit_relpos_small_patch16_rpn_224": 21_974_704,
    "vit_relpos_base_patch16_plus_240": 117_380_880,
    "vit_relpos_base_patch32_plus_rpn_256": 119_423_760,
    "vit_relpos_base_patch16_cls_224": 86_430_328,
    "vit_small_patch14_dinov2": 22_441_192,
    "vit_giant_patch14_dinov2": 1_138_016_232,
    "vit_small_patch14_reg4_dinov2": 22_442_344,
    "vit_giant_patch14_reg4_dinov2": 1_138_020_840,
    "eva02_small_patch14_224": 22_006_120,
    "eva02_base_patch14_224": 86_527_720,
    "vit_small_patch16_dinov3": 21_971_944,
    "vit_small_plus_patch16_dinov3": 29_068_264,
    "vit_base_patch16_dinov3_qkvb": 86_428_648,
    "vit_huge_plus_patch16_dinov3": 841_790_440,
    "vit_base_patch16_clip_224": 86_568_424,
    "vit_gigantic_patch14_clip_224": 1_844_442_344,
    "vit_base_patch32_clip_quickgelu_224": 88_225_000,
    "vit_base_patch16_siglip_224": 93_653_224,
    "vit_so400m_patch14_siglip_224": 428_833_704,
    "vit_base_patch16_siglip_gap_224": 86_566_120,
    "swin_tiny_patch4_window7_224": 28_288_354,
    "swin_small_patch4_window7_224": 49_606_258,
    "swin_base_patch4_window7_224": 87_768_224,
    "swin_large_patch4_window7_224": 196_532_476,
    "swinv2_small_window8_256": 49_728_418,
    "swinv2_small_window16_256": 49_728_418,
    "swinv2_base_window8_256": 87_918_816,
    "swinv2_base_window16_256": 87_918_816,
    "swinv2_tiny_window8_256": 28_347_154,
    "swinv2_cr_tiny_ns_224": 28_333_468,
    "swinv2_cr_small_224": 49_695_100,
    "swinv2_cr_small_ns_224": 49_696_444,
    "swinv2_cr_base_384": 87_877_464,
    "swinv2_cr_large_224": 196_682_512,
    "xcit_tiny_12_p16_224": 6_716_272,
    "xcit_tiny_24_p8_384": 12_107_128,
    "xcit_small_12_p8_224": 26_213_032,
    "xcit_small_24_p16_224": 47_671_384,
    "xcit_medium_24_p16_224": 84_395_752,
    "xcit_large_24_p16_224": 189_096_136,
}


# One of every kind: others differ from one of these in sizes alone.
KINDS = (
    "vit_small_patch16_224",
    "deit_tiny_distilled_patch16_224",
    "deit3_small_patch16_224",
    "vit_relpos_small_patch16_224",
    "vit_relpos_medium_patch16_cls_224",
    "vit_relpos_base_patch16_clsgap_224",
    "vit_srelpos_small_patch16_224",
    "beit_base_patch16_224",
    "cait_xxs24_224",
    "vit_relpos_small_patch16_rpn_224",
    "vit_giant_patch14_reg4_dinov2",
    "vit_base_patch32_clip_quickgelu_224",
    "vit_base_patch16_siglip_224",
    "eva02_base_patch14_224",
    "vit_small_plus_patch16_dinov3",
    "swin_tiny_patch4_window7_224",
    "swinv2_small_window16_256",
    "swinv2_cr_tiny_ns_224",
)


WITHOUT_BIAS = ("xcit_tiny_12_p16_224",)
"""One of every kind without attention between patches."""


STRUCTURES = json.loads(RECORD.read_text())


def of_every_kind(kinds, others):
    """Some of every kind, and the others in the full tier."""
    return [*kinds, *(pytest.param(name, marks=pytest.mark.full) for name in others if name not in kinds)]


def stock(config):
    return NetworkConfig(backbone=config, head=stock_head(config))


@functools.cache
def abstract_stock(config):
    return abstract(stock(config))


def count(config):
    """Counts parameters, without running statistics."""
    graph, shapes = abstract_stock(config)
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(nnx.merge(graph, shapes), nnx.Param)))


@pytest.mark.parametrize("name", COUNTS)
def test_number_of_parameters_equals_timms(name):
    assert count(PRESETS[name]) == COUNTS[name]


def test_every_structure_is_recorded():
    assert set(STRUCTURES) == set(PRESETS)


@pytest.mark.parametrize("name", of_every_kind(COUNTS, PRESETS))
def test_names_and_shapes_of_parameters_are_timms(name):
    network = stock(PRESETS[name])
    wanted = naming.expected(timm_rules(network), abstract_stock(PRESETS[name])[1])
    shapes = {key: each.shape for key, each in wanted.items()}
    compare = f"compare with `python -m tests.models.presets.record_structure --show {name}` beside timm"
    assert digest(shapes) == STRUCTURES[name], f"{compare}:\n{summary(shapes)}"


@pytest.mark.parametrize("name", of_every_kind(KINDS, [name for name in PRESETS if "xcit" not in name]))
def test_the_gaussian_adds_two_parameters_a_block_to_every_model(name):
    config = PRESETS[name]
    assert count(with_terms(config, Gaussian())) == count(config) + 2 * config.depth


@pytest.mark.parametrize("name", WITHOUT_BIAS)
def test_a_model_without_attention_between_patches_refuses_the_gaussian(name):
    with pytest.raises(ConfigError, match=r"a position bias does not apply to XCiT.*mixes channels"):
        with_terms(PRESETS[name], Gaussian())


@pytest.mark.parametrize("name", of_every_kind((*KINDS, *WITHOUT_BIAS), PRESETS))
def test_every_model_takes_a_rectangle_and_a_batch_of_one(name):
    size = (140, 280) if PRESETS[name].patch_size == (14, 14) else (160, 288)
    config = dataclasses.replace(PRESETS[name], image_size=size)
    config = config if "xcit" in name else with_terms(config, Gaussian())
    graph, params = abstract(stock(config))
    image = jax.ShapeDtypeStruct((1, *size, 3), jnp.float32)

    def run(params, image):
        model = nnx.merge(graph, params)
        return model(image), model.backbone.features(image).last

    logits, last = jax.eval_shape(run, params, image)
    assert logits.shape == (1, 1000)
    assert last.shape[:3] == (1, *config.grid)
