"""Configs of EVA-02 and DINOv3 by timm's model names: vision transformers with rotary embeddings.

Source: Fang et al., EVA-02 (arXiv 2303.11331); Siméoni et al., DINOv3 (arXiv 2508.10104); timm `eva.py`.
"""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

from gauss_vit.models.presets.vit import VIT_BASE, VIT_LARGE, VIT_SMALL
from gauss_vit.models.vit import ViTConfig
from gauss_vit.position.absolute import AbsoluteEmbedding
from gauss_vit.position.position import Position
from gauss_vit.position.rotary_axial import AxialRotary


def _eva(config: ViTConfig, *, mlp_norm: bool, image: int = 224) -> ViTConfig:
    """Returns EVA-02 of a size; indices of patches are scaled to the 16 x 16 of its pre-training."""
    return dataclasses.replace(
        config,
        patch_size=(14, 14),
        image_size=(image, image),
        mlp="swiglu",
        mlp_ratio=8 / 3,
        mlp_norm=mlp_norm,
        pool="mean",
        norm="after_pool",
        biases="query_value",
        position=Position(absolute=AbsoluteEmbedding(), rotary=AxialRotary(base=10000.0, reference=(16, 16))),
    )


VIT_TINY = dataclasses.replace(VIT_SMALL, width=192, num_heads=3)

_DINO_SMALL, _DINO_BASE, _DINO_LARGE = (
    dataclasses.replace(
        config,
        image_size=(256, 256),
        register_tokens=4,
        pool="mean",
        norm_epsilon=1e-5,
        biases="none",
        layer_scale=1e-5,
        position=Position(rotary=AxialRotary(base=100.0, coordinates="centered", pairing="half")),
    )
    for config in (VIT_SMALL, VIT_BASE, VIT_LARGE)
)
_DINO_SMALL_PLUS = dataclasses.replace(_DINO_SMALL, mlp="swiglu")
_DINO_HUGE_PLUS = dataclasses.replace(_DINO_SMALL_PLUS, width=1280, depth=32, num_heads=20)
_DINO_7B = dataclasses.replace(_DINO_SMALL_PLUS, width=4096, depth=40, num_heads=32, mlp_ratio=2.0)


def _with_biases(config: ViTConfig) -> ViTConfig:
    """Returns a config with biases of queries and values, which are zero in the published weights."""
    return dataclasses.replace(config, biases="query_value")


PRESETS_EVA: Mapping[str, ViTConfig] = MappingProxyType(
    {
        "eva02_tiny_patch14_224": _eva(VIT_TINY, mlp_norm=False),
        "eva02_tiny_patch14_336": _eva(VIT_TINY, mlp_norm=False, image=336),
        "eva02_small_patch14_224": _eva(VIT_SMALL, mlp_norm=False),
        "eva02_small_patch14_336": _eva(VIT_SMALL, mlp_norm=False, image=336),
        "eva02_base_patch14_224": _eva(VIT_BASE, mlp_norm=True),
        "eva02_base_patch14_448": _eva(VIT_BASE, mlp_norm=True, image=448),
        "eva02_large_patch14_224": _eva(VIT_LARGE, mlp_norm=True),
        "eva02_large_patch14_448": _eva(VIT_LARGE, mlp_norm=True, image=448),
        "vit_tiny_patch16_dinov3_qkvb": _with_biases(dataclasses.replace(_DINO_SMALL, width=192, num_heads=3)),
        "vit_small_patch16_dinov3": _DINO_SMALL,
        "vit_small_patch16_dinov3_qkvb": _with_biases(_DINO_SMALL),
        "vit_small_plus_patch16_dinov3": _DINO_SMALL_PLUS,
        "vit_small_plus_patch16_dinov3_qkvb": _with_biases(_DINO_SMALL_PLUS),
        "vit_base_patch16_dinov3": _DINO_BASE,
        "vit_base_patch16_dinov3_qkvb": _with_biases(_DINO_BASE),
        "vit_large_patch16_dinov3": _DINO_LARGE,
        "vit_large_patch16_dinov3_qkvb": _with_biases(_DINO_LARGE),
        "vit_huge_plus_patch16_dinov3": _DINO_HUGE_PLUS,
        "vit_huge_plus_patch16_dinov3_qkvb": _with_biases(_DINO_HUGE_PLUS),
        "vit_7b_patch16_dinov3": _DINO_7B,
    }
)
"""Config of every EVA-02 and DINOv3 by timm's model name."""
