"""UPerNets on Swin that are compared with transformers and MMSegmentation; nothing is imported from torch or JAX."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tests.models import deterministic

IGNORED = 255
"""Label of pixels without a loss."""

AUXILIARY_WEIGHT = 0.4


@dataclass(frozen=True, kw_only=True)
class Case:
    """One comparison.

    Attributes:
      size: (height, width) of the images.
      batch: images. Of two, the values of a channel in the pool of one pixel may be so alike that their normalisation
        is all rounding.
      width: channels of the first stage.
      depths: blocks of each stage.
      num_heads: attention heads of each stage.
      window: side of the windows, in tokens.
      channels: channels of the head.
      auxiliary_channels: channels of the auxiliary head.
      num_classes: number of classes.
    """

    size: tuple[int, int]
    batch: int = 3
    width: int = 16
    depths: tuple[int, ...] = (2, 2, 2, 1)
    num_heads: tuple[int, ...] = (1, 2, 4, 8)
    window: int = 4
    channels: int = 24
    auxiliary_channels: int = 12
    num_classes: int = 5

    def images(self) -> np.ndarray:
        """Float32 images [batch, height, width, 3], as if normalised."""
        return deterministic.image((self.batch, *self.size, 3))

    def labels(self) -> np.ndarray:
        """Classes of pixels, uint8 [batch, height, width], in blocks of 8 x 8; a seventh of the pixels are ignored."""
        height, width = self.size
        noise = deterministic.values("blocks", (self.batch, height // 8 + 1, width // 8 + 1))
        classes = ((noise + 1) / 2 * self.num_classes).astype(np.uint8)
        pixels = np.repeat(np.repeat(classes, 8, axis=1), 8, axis=2)[:, :height, :width]
        is_ignored = deterministic.values("ignored", pixels.shape) > 1 - 2 / 7
        return np.where(is_ignored, np.uint8(IGNORED), pixels)


CASES: Mapping[str, Case] = {
    # The last map of 2 x 2 is smaller than its window and than the finest pool.
    "tiny": Case(size=(64, 64)),
    # Patches, windows and merging are padded, and no map is a multiple of the next.
    "odd": Case(size=(75, 53)),
    # No input of its 900,000 ReLUs is so near 0 that rounding changes its sign, which would make the gradient jump.
    "swin_t": Case(
        size=(33, 25),
        batch=6,
        width=96,
        depths=(2, 2, 6, 2),
        num_heads=(3, 6, 12, 24),
        window=7,
        channels=512,
        auxiliary_channels=256,
        num_classes=150,
    ),
}
