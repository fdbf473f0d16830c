"""The Swin transformers that are compared with timm: its own names, rectangles, and tiny ones with every oddity."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Value = int | bool | tuple[int, ...]

NAMES = (
    "swin_tiny_patch4_window7_224",
    "swin_small_patch4_window7_224",
    "swin_base_patch4_window7_224",
    "swin_large_patch4_window7_224",
    "swinv2_small_window8_256",
    "swinv2_small_window16_256",
    "swinv2_base_window8_256",
    "swinv2_base_window16_256",
)
OTHERS = (
    "swinv2_tiny_window8_256",
    "swinv2_tiny_window16_256",
    "swinv2_cr_tiny_224",
    "swinv2_cr_tiny_384",
    "swinv2_cr_tiny_ns_224",
    "swinv2_cr_small_224",
    "swinv2_cr_small_384",
    "swinv2_cr_small_ns_224",
    "swinv2_cr_small_ns_256",
    "swinv2_cr_base_224",
    "swinv2_cr_base_384",
    "swinv2_cr_base_ns_224",
    "swinv2_cr_large_224",
    "swinv2_cr_large_384",
)
CR = "swinv2_cr_tiny_ns_224"
TINY = {"width": 16, "depths": (2, 3, 2), "num_heads": (1, 2, 4)}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One comparison.

    Attributes:
      name: timm's name.
      size: (height, width) of the image.
      batch: number of images.
      num_classes: Number of classes.
      changes: fields of our config that are not the preset's.
    """

    name: str
    size: tuple[int, int]
    batch: int = 1
    num_classes: int = 1000
    changes: Mapping[str, Value] = field(default_factory=dict)


def square(name: str) -> Case:
    """The model as it is."""
    side = int(name.rsplit("_", 1)[1])
    return Case(name=name, size=(side, side))


def rectangle(name: str) -> Case:
    """The windows of the model on an image that they do not tile."""
    return Case(name=name, size=(160, 288), changes={"takes_any_size": True})


def shallow(name: str) -> Case:
    """The model at its own image size, with shifted windows in its second stage alone."""
    return Case(name=name, size=square(name).size, changes={"depths": (1, 2, 1, 1)})


def tiny(name: str, size: tuple[int, int], **changes: Value) -> Case:
    """A small model: its windows are decided by the image size, unless `changes` gives another."""
    return Case(name=name, size=size, batch=2, num_classes=10, changes={**TINY, "image_size": size, **changes})


CASES: Mapping[str, Case] = {
    **{name: square(name) for name in NAMES},
    **{f"{name} on a rectangle": rectangle(name) for name in NAMES},
    **{f"{name} with few blocks": shallow(name) for name in (NAMES[0], NAMES[4])},
    # Maps of 10 x 18, 5 x 9 and 3 x 5 in windows of 4: padded, odd, cut to the map, and shifted along one axis only.
    "tiny with cut windows": tiny(NAMES[0], (40, 72), window=(4, 4)),
    "tiny v2 with cut windows": tiny(NAMES[4], (40, 72), window=(4, 4)),
    # Windows of another size than the image's: maps of 6 x 11, 3 x 6 and 2 x 3.
    "tiny with padding": tiny(NAMES[0], (24, 44), window=(4, 3), image_size=(64, 64), takes_any_size=True),
    "tiny v2 with padding": tiny(NAMES[4], (24, 44), window=(4, 3), image_size=(64, 64), takes_any_size=True),
    **{name: square(name) for name in OTHERS},
    f"{CR} on a rectangle": rectangle(CR),
    f"{CR} with few blocks": shallow(CR),
    "tiny cr with cut windows": tiny(CR, (40, 72), window=(4, 4)),
    "tiny cr with padding": tiny(CR, (24, 44), window=(4, 3), image_size=(64, 64), takes_any_size=True),
}
