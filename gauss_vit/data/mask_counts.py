"""Counts what masks hold: pixels of each class, and the masks that have any."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import PyTree, UInt8

from gauss_vit.batches import IGNORED, MaskTargets

_NUM_VALUES = IGNORED + 1


@dataclass(frozen=True, kw_only=True)
class MaskCounts:
    """Sums over some masks.

    Attributes:
      num_masks: number of masks.
      num_empty: number of masks that are ignored everywhere.
      num_pixels: number of pixels with each value, 0..255.
      num_with: number of masks in which each value occurs.
    """

    num_masks: int
    num_empty: int
    num_pixels: tuple[int, ...]
    num_with: tuple[int, ...]

    def __add__(self, other: "MaskCounts") -> "MaskCounts":
        return MaskCounts(
            num_masks=self.num_masks + other.num_masks,
            num_empty=self.num_empty + other.num_empty,
            num_pixels=tuple(map(sum, zip(self.num_pixels, other.num_pixels, strict=True))),
            num_with=tuple(map(sum, zip(self.num_with, other.num_with, strict=True))),
        )

    @property
    def num_labelled(self) -> int:
        """Number of pixels that have a class."""
        return sum(self.num_pixels[:IGNORED])

    @property
    def ignored_share(self) -> float:
        """Share of the pixels that count for nothing, 0..1; 0 without masks."""
        return self.num_pixels[IGNORED] / max(1, sum(self.num_pixels))


NO_MASKS = MaskCounts(num_masks=0, num_empty=0, num_pixels=(0,) * _NUM_VALUES, num_with=(0,) * _NUM_VALUES)
"""The sum of none."""


def count_mask(values: UInt8[np.ndarray, "height width"]) -> MaskCounts:
    """Counts the values of one mask."""
    counts = np.bincount(values.ravel(), minlength=_NUM_VALUES)
    return MaskCounts(
        num_masks=1,
        num_empty=int(not counts[:IGNORED].any()),
        num_pixels=tuple(counts.tolist()),
        num_with=tuple((counts > 0).astype(int).tolist()),
    )


def count_targets(targets: PyTree) -> MaskCounts:
    """Counts the values of the mask among the targets of an example, if that is what they are."""
    return count_mask(targets.mask.values) if isinstance(targets, MaskTargets) else NO_MASKS
