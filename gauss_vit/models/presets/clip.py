"""Configs of CLIP's image towers by timm's model names, with the linear projection as the head.

Source: Radford et al., Learning Transferable Visual Models From Natural Language Supervision (ICML 2021); timm
`vision_transformer.py`.
"""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

from gauss_vit.models.mlp import MlpKind
from gauss_vit.models.presets.vit import VIT_BASE
from gauss_vit.models.vit import ViTConfig

_BASE = dataclasses.replace(VIT_BASE, input_norm=True, norm_epsilon=1e-5)


def _tower(width: int, depth: int, num_heads: int, *, mlp_ratio: float = 4.0) -> ViTConfig:
    return dataclasses.replace(_BASE, width=width, depth=depth, num_heads=num_heads, mlp_ratio=mlp_ratio)


_TOWERS: Mapping[str, ViTConfig] = MappingProxyType(
    {
        "xsmall": _tower(256, 10, 4),
        "medium": _tower(512, 12, 8),
        "betwixt": _tower(640, 12, 10),
        "base": _BASE,
        "base_plus": _tower(896, 12, 14),
        "large": _tower(1024, 24, 16),
        "huge": _tower(1280, 32, 16),
        "giant": _tower(1408, 40, 16, mlp_ratio=48 / 11),
        "gigantic": _tower(1664, 48, 16, mlp_ratio=64 / 13),
    }
)


def _sized(size: str, *, patch: int, image: int, mlp: MlpKind = "gelu") -> ViTConfig:
    return dataclasses.replace(_TOWERS[size], patch_size=(patch, patch), image_size=(image, image), mlp=mlp)


PRESETS_CLIP: Mapping[str, ViTConfig] = MappingProxyType(
    {
        "vit_xsmall_patch16_clip_224": _sized("xsmall", patch=16, image=224),
        "vit_medium_patch32_clip_224": _sized("medium", patch=32, image=224),
        "vit_medium_patch16_clip_224": _sized("medium", patch=16, image=224),
        "vit_betwixt_patch32_clip_224": _sized("betwixt", patch=32, image=224),
        "vit_base_patch32_clip_224": _sized("base", patch=32, image=224),
        "vit_base_patch32_clip_256": _sized("base", patch=32, image=256),
        "vit_base_patch32_clip_384": _sized("base", patch=32, image=384),
        "vit_base_patch32_clip_448": _sized("base", patch=32, image=448),
        "vit_base_patch16_clip_224": _sized("base", patch=16, image=224),
        "vit_base_patch16_clip_384": _sized("base", patch=16, image=384),
        "vit_base_patch16_plus_clip_240": _sized("base_plus", patch=16, image=240),
        "vit_large_patch14_clip_224": _sized("large", patch=14, image=224),
        "vit_large_patch14_clip_336": _sized("large", patch=14, image=336),
        "vit_huge_patch14_clip_224": _sized("huge", patch=14, image=224),
        "vit_huge_patch14_clip_336": _sized("huge", patch=14, image=336),
        "vit_huge_patch14_clip_378": _sized("huge", patch=14, image=378),
        "vit_giant_patch14_clip_224": _sized("giant", patch=14, image=224),
        "vit_gigantic_patch14_clip_224": _sized("gigantic", patch=14, image=224),
        "vit_gigantic_patch14_clip_378": _sized("gigantic", patch=14, image=378),
        "vit_base_patch32_clip_quickgelu_224": _sized("base", patch=32, image=224, mlp="quick_gelu"),
        "vit_base_patch16_clip_quickgelu_224": _sized("base", patch=16, image=224, mlp="quick_gelu"),
        "vit_large_patch14_clip_quickgelu_224": _sized("large", patch=14, image=224, mlp="quick_gelu"),
        "vit_large_patch14_clip_quickgelu_336": _sized("large", patch=14, image=336, mlp="quick_gelu"),
        "vit_huge_patch14_clip_quickgelu_224": _sized("huge", patch=14, image=224, mlp="quick_gelu"),
        "vit_huge_patch14_clip_quickgelu_378": _sized("huge", patch=14, image=378, mlp="quick_gelu"),
        "vit_gigantic_patch14_clip_quickgelu_224": _sized("gigantic", patch=14, image=224, mlp="quick_gelu"),
    }
)
"""Config of every image tower of CLIP by timm's model name."""
