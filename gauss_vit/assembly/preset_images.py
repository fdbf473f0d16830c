"""Image preparation of timm's models, as their published weights expect it."""

from dataclasses import dataclass

from gauss_vit.data.images.transforms import ResizeCenterCrop
from gauss_vit.ops.pixel_normalization import Normalization

IMAGENET = Normalization(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""Mean and standard deviation of ImageNet's pixels."""

CENTERED = Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
"""Bytes are mapped to -1..1."""

_SELF_DISTILLED = ("vit_small_patch8_224",)


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How an image becomes a model's input.

    Attributes:
      transform: resizing to the model's size, on the host.
      normalization: normalisation of the bytes, on the device.
    """

    transform: ResizeCenterCrop
    normalization: Normalization


def preparation(name: str) -> Preparation:
    """Returns the preparation of a preset.

    Source: timm's `default_cfgs` of each name's default weights: `mean`, `std`, `crop_pct`; all bicubic.

    >>> preparation("cait_s24_224").transform.crop_fraction
    1.0
    """
    is_centered = name.startswith(("vit_", "beit_")) and name not in _SELF_DISTILLED
    is_whole = name.endswith("_384") or name.startswith("cait_")
    return Preparation(
        transform=ResizeCenterCrop(crop_fraction=1.0 if is_whole else 0.9),
        normalization=CENTERED if is_centered else IMAGENET,
    )
