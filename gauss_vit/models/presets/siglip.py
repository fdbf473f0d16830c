"""Configs of SigLIP's image towers by timm's model names, with attention pooling or ("gap") the mean of the patches.

timm also names towers of 384 pixels with patches of 14, which cut off the last 6 pixels; those of 378 are the same.

Source: Zhai et al., Sigmoid Loss for Language Image Pre-Training (ICCV 2023); Tschannen et al., SigLIP 2
(arXiv 2502.14786); timm `vision_transformer.py`.
"""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

from gauss_vit.models.mlp import MlpKind
from gauss_vit.models.pooling import Pool
from gauss_vit.models.presets.vit import VIT_BASE, VIT_LARGE
from gauss_vit.models.vit import ViTConfig

_TOWERS: Mapping[str, ViTConfig] = MappingProxyType(
    {
        "base": VIT_BASE,
        "large": VIT_LARGE,
        # 3.7362 * 1152 = 4304 hidden channels.
        "so400m": dataclasses.replace(VIT_BASE, width=1152, depth=27, num_heads=16, mlp_ratio=3.7362),
        "giantopt": dataclasses.replace(VIT_BASE, width=1536, depth=40, num_heads=16),
    }
)
_SIZES: tuple[tuple[str, int, int, MlpKind], ...] = (
    ("base", 32, 256, "gelu_tanh"),
    ("base", 16, 224, "gelu"),
    ("base", 16, 256, "gelu"),
    ("base", 16, 384, "gelu"),
    ("base", 16, 512, "gelu"),
    ("large", 16, 256, "gelu"),
    ("large", 16, 384, "gelu"),
    ("large", 16, 512, "gelu_tanh"),
    ("so400m", 14, 224, "gelu"),
    ("so400m", 14, 378, "gelu"),
    ("so400m", 16, 256, "gelu_tanh"),
    ("so400m", 16, 384, "gelu_tanh"),
    ("so400m", 16, 512, "gelu_tanh"),
    ("giantopt", 16, 256, "gelu_tanh"),
    ("giantopt", 16, 384, "gelu_tanh"),
)
"""Size of a tower, its patch and its image in pixels, and the nonlinearity of its MLPs."""


def _sized(size: str, patch: int, image: int, *, mlp: MlpKind, pool: Pool) -> ViTConfig:
    return dataclasses.replace(
        _TOWERS[size],
        patch_size=(patch, patch),
        image_size=(image, image),
        class_token=False,
        mlp=mlp,
        pool=pool,
    )


PRESETS_SIGLIP: Mapping[str, ViTConfig] = MappingProxyType(
    {
        f"vit_{size}_patch{patch}_siglip{suffix}_{image}": _sized(size, patch, image, mlp=mlp, pool=pool)
        for pool, suffix in (("attention", ""), ("mean", "_gap"))
        for size, patch, image, mlp in _SIZES
    }
    | {
        f"vit_so400m_patch14_siglip_gap_{image}": _sized("so400m", 14, image, mlp="gelu", pool="mean")
        for image in (448, 896)
    }
)
"""Config of every image tower of SigLIP by timm's model name."""
