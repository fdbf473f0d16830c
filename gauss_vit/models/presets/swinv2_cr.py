"""Configs of SwinV2-CR, timm's own reading of Swin Transformer V2, by timm's model names."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

from gauss_vit.models.swin import SwinConfig
from gauss_vit.position.position import Position
from gauss_vit.position.terms.relative_mlp import RelativeMlp

SWINV2_CR_TINY = SwinConfig(
    width=96,
    depths=(2, 2, 6, 2),
    num_heads=(3, 6, 12, 24),
    window=(7, 7),
    position=Position(terms=(RelativeMlp(hidden=384),)),
    biases="all",
    similarity="cosine",
    norm="mixed",
    start="fan_in_uniform",
)
SWINV2_CR_SMALL = dataclasses.replace(SWINV2_CR_TINY, depths=(2, 2, 18, 2))
SWINV2_CR_BASE = dataclasses.replace(SWINV2_CR_SMALL, width=128, num_heads=(4, 8, 16, 32))
SWINV2_CR_LARGE = dataclasses.replace(SWINV2_CR_SMALL, width=192, num_heads=(6, 12, 24, 48))


def _sized(config: SwinConfig, image: int) -> SwinConfig:
    """Returns a config for another image size, with windows of an eighth of the first map's side."""
    side = image // config.patch_size[0] // 8
    return dataclasses.replace(config, image_size=(image, image), window=(side, side))


def _with_stage_norms(config: SwinConfig) -> SwinConfig:
    return dataclasses.replace(config, stage_norms=True)


PRESETS_SWINV2_CR: Mapping[str, SwinConfig] = MappingProxyType(
    {
        "swinv2_cr_tiny_224": SWINV2_CR_TINY,
        "swinv2_cr_tiny_384": _sized(SWINV2_CR_TINY, 384),
        "swinv2_cr_tiny_ns_224": _with_stage_norms(SWINV2_CR_TINY),
        "swinv2_cr_small_224": SWINV2_CR_SMALL,
        "swinv2_cr_small_384": _sized(SWINV2_CR_SMALL, 384),
        "swinv2_cr_small_ns_224": _with_stage_norms(SWINV2_CR_SMALL),
        "swinv2_cr_small_ns_256": _sized(_with_stage_norms(SWINV2_CR_SMALL), 256),
        "swinv2_cr_base_224": SWINV2_CR_BASE,
        "swinv2_cr_base_384": _sized(SWINV2_CR_BASE, 384),
        "swinv2_cr_base_ns_224": _with_stage_norms(SWINV2_CR_BASE),
        "swinv2_cr_large_224": SWINV2_CR_LARGE,
        "swinv2_cr_large_384": _sized(SWINV2_CR_LARGE, 384),
    }
)
"""Config of every SwinV2-CR by timm's model name."""
