"""Configs of vision transformers by timm's model names."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

from gauss_vit.models.vit import ViTConfig
from gauss_vit.position.absolute import AbsoluteEmbedding
from gauss_vit.position.position import Position
from gauss_vit.position.terms.relative import RelativeTable
from gauss_vit.position.terms.relative_mlp import RelativeMlp

VIT_SMALL = ViTConfig(
    width=384,
    depth=12,
    num_heads=6,
    class_token=True,
    pool="token",
    norm="before_pool",
    position=Position(absolute=AbsoluteEmbedding()),
    biases="all",
    layer_scale=None,
    start="truncated_normal",
)
VIT_BASE = dataclasses.replace(VIT_SMALL, width=768, num_heads=12)
VIT_LARGE = dataclasses.replace(VIT_SMALL, width=1024, depth=24, num_heads=16)

RELPOS_SMALL = ViTConfig(
    width=384,
    depth=12,
    num_heads=6,
    class_token=False,
    pool="mean",
    norm="after_pool",
    position=Position(terms=(RelativeMlp(),)),
    biases="none",
    layer_scale=1e-6,
    start="fan_in_uniform",
)
RELPOS_MEDIUM = dataclasses.replace(RELPOS_SMALL, width=512, num_heads=8)
RELPOS_BASE = dataclasses.replace(RELPOS_SMALL, width=768, num_heads=12)

RELPOS_MEDIUM_CLASS = dataclasses.replace(
    RELPOS_MEDIUM,
    class_token=True,
    pool="token",
    norm="before_pool",
    position=Position(terms=(RelativeMlp(hidden=256),)),
)
RELPOS_BASE_CLASS = dataclasses.replace(RELPOS_BASE, class_token=True, pool="token", norm="before_pool")
RELPOS_BASE_CLASS_MEAN = dataclasses.replace(RELPOS_BASE, class_token=True)
RELPOS_BASE_PLUS = dataclasses.replace(RELPOS_BASE, width=896, num_heads=14, norm="before_pool", biases="all")


def _normalised_after(config: ViTConfig) -> ViTConfig:
    """Returns a config whose blocks normalise after each residual branch (timm's residual post-norm, "rpn")."""
    return dataclasses.replace(config, block_norm="after", norm="before_pool")


SHARED_SMALL = dataclasses.replace(
    RELPOS_SMALL, norm="before_pool", position=Position(shared=(RelativeMlp(hidden=384),))
)
SHARED_MEDIUM = dataclasses.replace(
    SHARED_SMALL, width=512, num_heads=8, position=Position(shared=(RelativeMlp(hidden=512),))
)

DEIT_TINY = dataclasses.replace(VIT_SMALL, width=192, num_heads=3)
DEIT_TINY_DISTILLED = dataclasses.replace(DEIT_TINY, distillation_token=True)
DEIT_SMALL_DISTILLED = dataclasses.replace(VIT_SMALL, distillation_token=True)
DEIT_BASE_DISTILLED = dataclasses.replace(VIT_BASE, distillation_token=True)
DEIT3_SMALL = dataclasses.replace(
    VIT_SMALL, position=Position(absolute=AbsoluteEmbedding(embeds_prefix=False)), layer_scale=1e-6
)
DEIT3_BASE = dataclasses.replace(DEIT3_SMALL, width=768, num_heads=12)
DEIT3_LARGE = dataclasses.replace(DEIT3_SMALL, width=1024, depth=24, num_heads=16)

BEIT_BASE = dataclasses.replace(
    VIT_BASE,
    pool="mean",
    norm="after_pool",
    position=Position(terms=(RelativeTable(init_std=0.0, has_prefix=True),)),
    biases="query_value",
    layer_scale=0.1,
)
BEIT_LARGE = dataclasses.replace(BEIT_BASE, width=1024, depth=24, num_heads=16, layer_scale=1e-5)

CAIT_XXS24 = dataclasses.replace(
    VIT_SMALL,
    width=192,
    depth=24,
    num_heads=4,
    position=Position(absolute=AbsoluteEmbedding(embeds_prefix=False)),
    mixes_heads=True,
    class_blocks=2,
    layer_scale=1e-5,
)
CAIT_XXS36 = dataclasses.replace(CAIT_XXS24, depth=36)
CAIT_S24 = dataclasses.replace(CAIT_XXS24, width=384, num_heads=8)


def _sized(config: ViTConfig, *, patch: int, image: int = 224) -> ViTConfig:
    return dataclasses.replace(config, patch_size=(patch, patch), image_size=(image, image))


PRESETS_VIT: Mapping[str, ViTConfig] = MappingProxyType(
    {
        "vit_small_patch8_224": _sized(VIT_SMALL, patch=8),
        "vit_small_patch16_224": VIT_SMALL,
        "vit_small_patch16_384": _sized(VIT_SMALL, patch=16, image=384),
        "vit_small_patch32_224": _sized(VIT_SMALL, patch=32),
        "vit_small_patch32_384": _sized(VIT_SMALL, patch=32, image=384),
        "vit_base_patch8_224": _sized(VIT_BASE, patch=8),
        "vit_base_patch16_224": VIT_BASE,
        "vit_base_patch16_384": _sized(VIT_BASE, patch=16, image=384),
        "vit_base_patch32_224": _sized(VIT_BASE, patch=32),
        "vit_base_patch32_384": _sized(VIT_BASE, patch=32, image=384),
        "vit_large_patch16_224": VIT_LARGE,
        "vit_large_patch16_384": _sized(VIT_LARGE, patch=16, image=384),
        "vit_large_patch32_224": _sized(VIT_LARGE, patch=32),
        "vit_large_patch32_384": _sized(VIT_LARGE, patch=32, image=384),
        "deit_tiny_patch16_224": DEIT_TINY,
        "deit_small_patch16_224": VIT_SMALL,
        "deit_base_patch16_224": VIT_BASE,
        "deit_base_patch16_384": _sized(VIT_BASE, patch=16, image=384),
        "deit_tiny_distilled_patch16_224": DEIT_TINY_DISTILLED,
        "deit_small_distilled_patch16_224": DEIT_SMALL_DISTILLED,
        "deit_base_distilled_patch16_224": DEIT_BASE_DISTILLED,
        "deit_base_distilled_patch16_384": _sized(DEIT_BASE_DISTILLED, patch=16, image=384),
        "deit3_small_patch16_224": DEIT3_SMALL,
        "deit3_small_patch16_384": _sized(DEIT3_SMALL, patch=16, image=384),
        "deit3_base_patch16_224": DEIT3_BASE,
        "deit3_base_patch16_384": _sized(DEIT3_BASE, patch=16, image=384),
        "deit3_large_patch16_224": DEIT3_LARGE,
        "deit3_large_patch16_384": _sized(DEIT3_LARGE, patch=16, image=384),
        "vit_relpos_small_patch16_224": RELPOS_SMALL,
        "vit_relpos_medium_patch16_224": RELPOS_MEDIUM,
        "vit_relpos_base_patch16_224": RELPOS_BASE,
        "vit_relpos_medium_patch16_cls_224": RELPOS_MEDIUM_CLASS,
        "vit_relpos_base_patch16_cls_224": RELPOS_BASE_CLASS,
        "vit_relpos_base_patch16_clsgap_224": RELPOS_BASE_CLASS_MEAN,
        "vit_relpos_base_patch16_plus_240": _sized(RELPOS_BASE_PLUS, patch=16, image=240),
        "vit_relpos_base_patch32_plus_rpn_256": _sized(_normalised_after(RELPOS_BASE_PLUS), patch=32, image=256),
        "vit_relpos_small_patch16_rpn_224": _normalised_after(RELPOS_SMALL),
        "vit_relpos_medium_patch16_rpn_224": _normalised_after(RELPOS_MEDIUM),
        "vit_relpos_base_patch16_rpn_224": _normalised_after(RELPOS_BASE),
        "vit_srelpos_small_patch16_224": SHARED_SMALL,
        "vit_srelpos_medium_patch16_224": SHARED_MEDIUM,
        "beit_base_patch16_224": BEIT_BASE,
        "beit_base_patch16_384": _sized(BEIT_BASE, patch=16, image=384),
        "beit_large_patch16_224": BEIT_LARGE,
        "beit_large_patch16_384": _sized(BEIT_LARGE, patch=16, image=384),
        "cait_xxs24_224": CAIT_XXS24,
        "cait_xxs24_384": _sized(CAIT_XXS24, patch=16, image=384),
        "cait_xxs36_224": CAIT_XXS36,
        "cait_xxs36_384": _sized(CAIT_XXS36, patch=16, image=384),
        "cait_s24_224": CAIT_S24,
        "cait_s24_384": _sized(CAIT_S24, patch=16, image=384),
    }
)
"""Config of every vision transformer by timm's model name."""
