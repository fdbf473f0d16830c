"""The stock model of a config: the nearest name, and what differs from it as arguments."""

import dataclasses

import pytest

from gauss_vit.heads.linear import LinearHead
from gauss_vit.heads.stock import stock_head
from gauss_vit.models.presets import PRESETS
from gauss_vit.models.presets.swin import SWIN_TINY
from gauss_vit.models.presets.swinv2_cr import SWINV2_CR_TINY
from gauss_vit.models.presets.vit import CAIT_XXS24, DEIT3_SMALL, RELPOS_SMALL, SHARED_SMALL, VIT_BASE, VIT_SMALL
from gauss_vit.models.presets.xcit import XCIT_TINY_12
from gauss_vit.position import RelativeTable
from gauss_vit.position.fourier import FourierEmbedding
from gauss_vit.position.position import Position
from gauss_vit.weights.export.timm_call import timm_family, timm_model
from tests.models.test_vit import PLAIN, RELATIVE


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_made_by_a_name_of_the_same_model(name):
    model = timm_model(PRESETS[name], stock_head(PRESETS[name]))
    assert model is not None and not model.arguments and model.norm_epsilon is None
    assert PRESETS[model.name] == PRESETS[name]
    assert model.call == f"timm.create_model('{model.name}')"


TABLE = Position(terms=(RelativeTable(),))


@pytest.mark.parametrize(
    ("config", "num_classes", "call"),
    [
        (
            dataclasses.replace(RELPOS_SMALL, image_size=(160, 288), stochastic_depth=0.1, position=TABLE),
            10,
            "'vit_relpos_small_patch16_224', img_size=[160, 288], rel_pos_type='bias', num_classes=10",
        ),
        (
            dataclasses.replace(SHARED_SMALL, position=TABLE, layer_scale=0.1),
            1000,
            "'vit_relpos_small_patch16_224', fc_norm=False, rel_pos_type='bias'",
        ),
        (dataclasses.replace(VIT_BASE, depth=6, mlp_ratio=3.0), 1000, "'vit_base_patch16_224', mlp_ratio=3.0, depth=6"),
        (dataclasses.replace(VIT_SMALL, layer_scale=0.1), 5, "'vit_small_patch16_224', init_values=0.1, num_classes=5"),
        (dataclasses.replace(RELPOS_SMALL, layer_scale=None), 1000, "'vit_relpos_small_patch16_224', init_values=0.0"),
        (dataclasses.replace(DEIT3_SMALL, layer_scale=0.5, depth=3), 1000, "'deit3_small_patch16_224', depth=3"),
        (
            dataclasses.replace(SWIN_TINY, depths=(2, 2), num_heads=(3, 6), window=(4, 4)),
            1000,
            "'swin_tiny_patch4_window7_224', depths=[2, 2], num_heads=[3, 6], window_size=4",
        ),
        (
            dataclasses.replace(SWINV2_CR_TINY, image_size=(256, 320), depths=(2, 2, 4, 2)),
            1000,
            "'swinv2_cr_tiny_224', img_size=[256, 320], depths=[2, 2, 4, 2], window_size=7",
        ),
        (
            dataclasses.replace(SWINV2_CR_TINY, image_size=(256, 320), window=(8, 10), stage_norms=True),
            1000,
            "'swinv2_cr_tiny_ns_224', img_size=[256, 320]",
        ),
        (
            dataclasses.replace(XCIT_TINY_12, image_size=(96, 160), depth=2, class_blocks=1),
            5,
            "'xcit_tiny_12_p16_224', img_size=[96, 160], depth=2, cls_attn_layers=1, num_classes=5",
        ),
        (dataclasses.replace(CAIT_XXS24, class_blocks=1), 1000, "'cait_xxs24_224', depth_token_only=1"),
        (
            dataclasses.replace(VIT_SMALL, register_tokens=2, mlp="quick_gelu", mlp_norm=True),
            1000,
            "'vit_small_patch16_224', reg_tokens=2, scale_mlp_norm=True, act_layer='quick_gelu'",
        ),
        (
            dataclasses.replace(PRESETS["vit_giant_patch14_dinov2"], mlp_ratio=2.0),
            1000,
            "'vit_giant_patch14_dinov2', mlp_ratio=4.0",
        ),
        (
            dataclasses.replace(PRESETS["vit_relpos_small_patch16_rpn_224"], position=TABLE, layer_scale=1.0),
            1000,
            "'vit_relpos_small_patch16_rpn_224', rel_pos_type='bias'",
        ),
        (
            dataclasses.replace(VIT_SMALL, norm_epsilon=1e-12),
            1000,
            "'vit_small_patch16_224', norm_layer=functools.partial(torch.nn.LayerNorm, eps=1e-12)",
        ),
    ],
)
def test_what_differs_becomes_an_argument(config, num_classes, call):
    model = timm_model(config, LinearHead(num_classes=num_classes))
    assert model is not None and model.call == f"timm.create_model({call})"


@pytest.mark.parametrize(
    "config",
    [
        RELATIVE,
        dataclasses.replace(VIT_SMALL, biases="query_value"),
        dataclasses.replace(VIT_SMALL, distillation_token=True),
        dataclasses.replace(SWIN_TINY, windows="fixed"),
        dataclasses.replace(SWIN_TINY, stage_norms=True),
        dataclasses.replace(XCIT_TINY_12, patch_size=(4, 4)),
        dataclasses.replace(XCIT_TINY_12, embedding=FourierEmbedding(channels=8)),
        dataclasses.replace(VIT_SMALL, block_norm="after"),
        dataclasses.replace(RELPOS_SMALL, mlp="swiglu"),
        dataclasses.replace(CAIT_XXS24, input_norm=True),
        dataclasses.replace(VIT_SMALL, mlp="swiglu", pool="attention"),
    ],
    ids=[
        "gaussian",
        "biases",
        "one head for two tokens",
        "fixed windows",
        "norms of stages",
        "patches",
        "embedding",
        "post-norm",
        "gated relpos",
        "normed cait",
        "gated pool",
    ],
)
def test_other_architectures_have_no_name(config):
    assert timm_model(config, LinearHead()) is None


def test_tiny_plain_model_is_a_vit():
    assert timm_family(PLAIN) == "vit"
