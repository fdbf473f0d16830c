"""Configs of XCiT by timm's model names."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

from gauss_vit.models.xcit import XCiTConfig

XCIT_TINY_12 = XCiTConfig(width=192, depth=12, num_heads=4, layer_scale=1.0)
XCIT_TINY_24 = dataclasses.replace(XCIT_TINY_12, depth=24, layer_scale=1e-5)
XCIT_SMALL_12 = dataclasses.replace(XCIT_TINY_12, width=384, num_heads=8)
XCIT_SMALL_24 = dataclasses.replace(XCIT_SMALL_12, depth=24, layer_scale=1e-5)
XCIT_MEDIUM_24 = dataclasses.replace(XCIT_SMALL_24, width=512)
XCIT_LARGE_24 = dataclasses.replace(XCIT_SMALL_24, width=768, num_heads=16)

_SIZES: Mapping[str, XCiTConfig] = MappingProxyType(
    {
        "tiny_12": XCIT_TINY_12,
        "tiny_24": XCIT_TINY_24,
        "small_12": XCIT_SMALL_12,
        "small_24": XCIT_SMALL_24,
        "medium_24": XCIT_MEDIUM_24,
        "large_24": XCIT_LARGE_24,
    }
)


def _sized(config: XCiTConfig, *, patch: int, image: int) -> XCiTConfig:
    return dataclasses.replace(config, patch_size=(patch, patch), image_size=(image, image))


PRESETS_XCIT: Mapping[str, XCiTConfig] = MappingProxyType(
    {
        f"xcit_{size}_p{patch}_{image}": _sized(config, patch=patch, image=image)
        for size, config in _SIZES.items()
        for patch in (16, 8)
        for image in (224, 384)
    }
)
"""Config of every XCiT by timm's model name."""
