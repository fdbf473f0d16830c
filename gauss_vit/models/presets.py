"""timm's model names as config values."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

from gauss_vit.models.vit import ViTConfig
from gauss_vit.position.absolute import AbsoluteEmbedding
from gauss_vit.position.relative_mlp import RelativeMlp

VIT_SMALL = ViTConfig(
    width=384,
    depth=12,
    num_heads=6,
    class_token=True,
    pool="token",
    norm="before_pool",
    absolute=AbsoluteEmbedding(),
    relative=None,
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
    absolute=None,
    relative=RelativeMlp(),
    biases="none",
    layer_scale=1e-6,
    start="fan_in_uniform",
)
RELPOS_MEDIUM = dataclasses.replace(RELPOS_SMALL, width=512, num_heads=8)
RELPOS_BASE = dataclasses.replace(RELPOS_SMALL, width=768, num_heads=12)

PRESETS: Mapping[str, ViTConfig] = MappingProxyType(
    {
        "vit_small_patch16_224": VIT_SMALL,
        "vit_base_patch16_224": VIT_BASE,
        "vit_large_patch16_224": VIT_LARGE,
        "vit_relpos_small_patch16_224": RELPOS_SMALL,
        "vit_relpos_medium_patch16_224": RELPOS_MEDIUM,
        "vit_relpos_base_patch16_224": RELPOS_BASE,
    }
)
"""Every model by timm's name, as timm builds it for 1,000 classes; `dataclasses.replace` varies one."""
