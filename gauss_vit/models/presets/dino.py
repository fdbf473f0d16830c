"""Configs of DINOv2's vision transformers by timm's model names.

Source: Oquab et al., DINOv2 (TMLR 2024); Darcet et al., Vision Transformers Need Registers (ICLR 2024); timm
`vision_transformer.py`.
"""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

from gauss_vit.models.presets.vit import VIT_BASE, VIT_LARGE, VIT_SMALL
from gauss_vit.models.vit import ViTConfig
from gauss_vit.position.absolute import AbsoluteEmbedding
from gauss_vit.position.position import Position

_SMALL, _BASE, _LARGE = (
    dataclasses.replace(config, patch_size=(14, 14), image_size=(518, 518), layer_scale=1e-5)
    for config in (VIT_SMALL, VIT_BASE, VIT_LARGE)
)
_GIANT = dataclasses.replace(_LARGE, width=1536, depth=40, num_heads=24, mlp="swiglu", mlp_ratio=8 / 3)


def _with_registers(config: ViTConfig) -> ViTConfig:
    """Returns a config with four register tokens; no prefix token has a position then."""
    position = Position(absolute=AbsoluteEmbedding(embeds_prefix=False))
    return dataclasses.replace(config, register_tokens=4, position=position)


PRESETS_DINO: Mapping[str, ViTConfig] = MappingProxyType(
    {
        "vit_small_patch14_dinov2": _SMALL,
        "vit_base_patch14_dinov2": _BASE,
        "vit_large_patch14_dinov2": _LARGE,
        "vit_giant_patch14_dinov2": _GIANT,
        "vit_small_patch14_reg4_dinov2": _with_registers(_SMALL),
        "vit_base_patch14_reg4_dinov2": _with_registers(_BASE),
        "vit_large_patch14_reg4_dinov2": _with_registers(_LARGE),
        "vit_giant_patch14_reg4_dinov2": _with_registers(_GIANT),
    }
)
"""Config of every DINOv2 by timm's model name."""
