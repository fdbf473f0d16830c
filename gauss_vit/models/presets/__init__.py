"""Configs of backbones by timm's model names, one file a family."""

from collections.abc import Mapping
from types import MappingProxyType

from gauss_vit.models.presets.clip import PRESETS_CLIP
from gauss_vit.models.presets.dino import PRESETS_DINO
from gauss_vit.models.presets.eva import PRESETS_EVA
from gauss_vit.models.presets.siglip import PRESETS_SIGLIP
from gauss_vit.models.presets.swin import PRESETS_SWIN
from gauss_vit.models.presets.swinv2_cr import PRESETS_SWINV2_CR
from gauss_vit.models.presets.vit import PRESETS_VIT
from gauss_vit.models.presets.xcit import PRESETS_XCIT
from gauss_vit.models.swin import SwinConfig
from gauss_vit.models.vit import ViTConfig
from gauss_vit.models.xcit import XCiTConfig

Preset = ViTConfig | SwinConfig | XCiTConfig

PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        **PRESETS_VIT,
        **PRESETS_DINO,
        **PRESETS_EVA,
        **PRESETS_CLIP,
        **PRESETS_SIGLIP,
        **PRESETS_SWIN,
        **PRESETS_SWINV2_CR,
        **PRESETS_XCIT,
    }
)
"""Config of every backbone by timm's model name; `dataclasses.replace` derives variants."""
