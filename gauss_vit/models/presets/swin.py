"""Configs of Swin transformers by timm's model names."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

from gauss_vit.models.swin import SwinConfig
from gauss_vit.position.position import Position
from gauss_vit.position.terms.relative import RelativeTable
from gauss_vit.position.terms.relative_mlp import RelativeMlp


def for_dense_tasks(
    config: SwinConfig, *, image_size: tuple[int, int] = (512, 512), stochastic_depth: float = 0.3
) -> SwinConfig:
    """Returns a Swin as detection and segmentation use it: windows of one size on every map, images of any size.

    Its parameters are those of a classifier whose windows are nowhere larger than the map, at any image size.

    Args:
      config: Swin of a classifier, with any position terms.
      image_size: The (height, width) of training images, such as their crop.
      stochastic_depth: Rate of the last block; 0.3 is that of the paper's UPerNet, 0.2 of its Mask R-CNN.

    Source: configs of MMSegmentation and MMDetection for Swin.
    """
    return dataclasses.replace(config, windows="fixed", image_size=image_size, stochastic_depth=stochastic_depth)


SWIN_TINY = SwinConfig(
    width=96,
    depths=(2, 2, 6, 2),
    num_heads=(3, 6, 12, 24),
    window=(7, 7),
    position=Position(terms=(RelativeTable(),)),
    biases="all",
    similarity="product",
    norm="before",
    stochastic_depth=0.1,
)
SWIN_SMALL = dataclasses.replace(SWIN_TINY, depths=(2, 2, 18, 2))
SWIN_BASE = dataclasses.replace(SWIN_SMALL, width=128, num_heads=(4, 8, 16, 32))
SWIN_LARGE = dataclasses.replace(SWIN_SMALL, width=192, num_heads=(6, 12, 24, 48))

SWINV2_SMALL = dataclasses.replace(
    SWIN_SMALL,
    image_size=(256, 256),
    window=(8, 8),
    position=Position(terms=(RelativeMlp(hidden=512, mode="swin", dropout=0.0),)),
    biases="query_value",
    similarity="cosine",
    norm="after",
)
SWINV2_TINY = dataclasses.replace(SWINV2_SMALL, depths=SWIN_TINY.depths)
SWINV2_BASE = dataclasses.replace(SWINV2_SMALL, width=128, num_heads=(4, 8, 16, 32))

PRESETS_SWIN: Mapping[str, SwinConfig] = MappingProxyType(
    {
        "swin_tiny_patch4_window7_224": SWIN_TINY,
        "swin_small_patch4_window7_224": SWIN_SMALL,
        "swin_base_patch4_window7_224": SWIN_BASE,
        "swin_large_patch4_window7_224": SWIN_LARGE,
        "swinv2_tiny_window8_256": SWINV2_TINY,
        "swinv2_tiny_window16_256": dataclasses.replace(SWINV2_TINY, window=(16, 16)),
        "swinv2_small_window8_256": SWINV2_SMALL,
        "swinv2_small_window16_256": dataclasses.replace(SWINV2_SMALL, window=(16, 16)),
        "swinv2_base_window8_256": SWINV2_BASE,
        "swinv2_base_window16_256": dataclasses.replace(SWINV2_BASE, window=(16, 16)),
    }
)
"""Config of every Swin transformer by timm's model name."""
