"""The XCiTs that are compared with timm: its own names, and shallow ones, one of them on a rectangle."""

from collections.abc import Mapping
from dataclasses import dataclass

NAMES = tuple(
    f"xcit_{size}_p{patch}_{image}"
    for size in ("tiny_12", "tiny_24", "small_12", "small_24", "medium_24", "large_24")
    for patch in (16, 8)
    for image in (224, 384)
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One comparison.

    Attributes:
      name: timm's name.
      size: (height, width) of the image.
      batch: number of images.
      depth: number of blocks; None for the model's own.
    """

    name: str
    size: tuple[int, int]
    batch: int = 1
    depth: int | None = None


def _square(name: str) -> Case:
    side = int(name.rsplit("_", 1)[1])
    return Case(name=name, size=(side, side))


CASES: Mapping[str, Case] = {
    **{name: _square(name) for name in NAMES},
    "xcit_tiny_12_p16_224 with few blocks": Case(name="xcit_tiny_12_p16_224", size=(224, 224), depth=2),
    # A map of 6 x 10 tells rows from columns.
    "xcit_tiny_12_p8_224 on a rectangle": Case(name="xcit_tiny_12_p8_224", size=(48, 80), batch=2, depth=2),
}
