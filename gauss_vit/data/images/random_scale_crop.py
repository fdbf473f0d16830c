"""Random scale and crop for dense tasks, with the mask's say in where the crop is, and padding to the model's size."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from gauss_vit.batches import Mask
from gauss_vit.data import randomness
from gauss_vit.data.images.geometry import Crop, Move, ScaledBox
from gauss_vit.data.images.opencv_resize import YXYX, resize_bilinear
from gauss_vit.data.images.resize_to_fit import LARGEST_SCALE, check_scale, size_to_fit
from gauss_vit.errors import ConfigError

NUM_TRIES = 10


@dataclass(frozen=True, kw_only=True)
class ScaledCrop:
    """Resizes the image and keeps a box of it, the only pixels that are computed.

    Attributes:
      scaled_size: (height, width) in pixels of the whole resized image.
      yxyx: (top, left, bottom, right) in pixels of the box, inside the resized image.
    """

    scaled_size: tuple[int, int]
    yxyx: YXYX

    def __call__(self, image: Image.Image, *, size: tuple[int, int], key: int = 0) -> Image.Image:
        """Resizes and crops."""
        del size, key
        return Image.fromarray(resize_bilinear(np.asarray(image), size=self.scaled_size, yxyx=self.yxyx))

    def moves(self, image_size: tuple[int, int], *, size: tuple[int, int], key: int = 0) -> tuple[Move, ...]:
        """Scales and crops."""
        del image_size, size, key
        return (ScaledBox(scaled_size=self.scaled_size, yxyx=self.yxyx),)


@dataclass(frozen=True, kw_only=True)
class RandomScaleCrop:
    """Resizes by a random ratio, keeping proportions, and crops the model's size at a random place.

    Where the resized image is smaller than the model's size, so is the crop: `Pad` follows. The first crop of ten is
    taken in which no class has too large a share of the pixels that are not ignored, otherwise an eleventh.

    Attributes:
      scale: limits in pixels of the long and of the short side at ratio 1; `resize_to_fit.size_to_fit` says how.
      ratio: range of the uniform ratio that both limits are multiplied by, and rounded down.
      largest_share: share of the pixels of a mask that its most frequent class stays below, and one class alone never
        does; 1 takes the first crop.

    Source: MMSegmentation 0.x, `Resize(ratio_range)` and `RandomCrop(cat_max_ratio)`.
    """

    scale: tuple[int, int] = (2048, 512)
    ratio: tuple[float, float] = (0.5, 2.0)
    largest_share: float = 0.75

    def __post_init__(self):
        """Checks the ranges.

        Raises:
          ConfigError: a range is empty, or a number out of range.
        """
        check_scale("RandomScaleCrop.scale", self.scale)
        low, high = self.ratio
        if not (1 / min(self.scale) <= low <= high and high * max(self.scale) <= LARGEST_SCALE):
            limits = f"{1 / min(self.scale):g} <= low <= high <= {LARGEST_SCALE / max(self.scale):g}"
            raise ConfigError(f"RandomScaleCrop.ratio must be {limits}, got {self.ratio}")
        if not 0 < self.largest_share <= 1:
            raise ConfigError(f"RandomScaleCrop.largest_share must be in (0, 1], got {self.largest_share}")

    def __call__(self, image: Image.Image, *, size: tuple[int, int], key: int) -> Image.Image:
        """Resizes and takes the first crop: without a mask nothing speaks against it."""
        return next(self.crops((image.height, image.width), size=size, key=key))(image, size=size)

    def moves(self, image_size: tuple[int, int], *, size: tuple[int, int], key: int) -> tuple[Move, ...]:
        """Scales and takes the first crop."""
        return next(self.crops(image_size, size=size, key=key)).moves(image_size, size=size)

    def guided(self, mask: Mask, *, size: tuple[int, int], key: int) -> ScaledCrop:
        """Chooses the crop by the mask of the image."""
        crops = self.crops(mask.values.shape, size=size, key=key)
        if self.largest_share == 1:
            return next(crops)
        for _ in range(NUM_TRIES):
            crop = next(crops)
            if self._is_varied(crop, mask):
                return crop
        return next(crops)

    def crops(self, image_size: tuple[int, int], *, size: tuple[int, int], key: int) -> Iterator[ScaledCrop]:
        """Draws the size of the resized image once, then one crop after the other without end."""
        ratio = self.ratio[0] + (self.ratio[1] - self.ratio[0]) * randomness.uniform(key, 0)
        long_side, short_side = (int(side * ratio) for side in self.scale)
        scaled = size_to_fit(image_size, scale=(long_side, short_side))
        height, width = (min(own, side) for own, side in zip(scaled, size, strict=True))
        draw = 1
        while True:
            top = randomness.below(scaled[0] - height + 1, key=key, draw=draw)
            left = randomness.below(scaled[1] - width + 1, key=key, draw=draw + 1)
            yield ScaledCrop(scaled_size=scaled, yxyx=(top, left, top + height, left + width))
            draw += 2

    def _is_varied(self, crop: ScaledCrop, mask: Mask) -> bool:
        """Whether the crop has several classes, none with too large a share."""
        (move,) = crop.moves(mask.values.shape, size=crop.scaled_size)
        values = move.move_mask(mask.values, fill=mask.fill)
        counts = np.bincount(values[values != mask.fill])
        return bool(np.count_nonzero(counts) > 1 and counts.max() / counts.sum() < self.largest_share)


@dataclass(frozen=True, kw_only=True)
class Pad:
    """Pads images that are smaller than the model's size at the bottom and on the right; masks ignore the padding.

    Attributes:
      fill: R, G and B, 0..255, of the padding. The mean colour of the normalisation, rounded, is zero for the model but
        for a hundredth of a standard deviation.

    Source: MMSegmentation, `Pad`, which pads with zeros after normalising.
    """

    fill: tuple[int, int, int] = (124, 116, 104)

    def __post_init__(self):
        """Checks the range.

        Raises:
          ConfigError: fill is not a colour.
        """
        if not all(0 <= value <= 255 for value in self.fill):
            raise ConfigError(f"Pad.fill must be in 0..255, got {self.fill}")

    def __call__(self, image: Image.Image, *, size: tuple[int, int], key: int = 0) -> Image.Image:
        """Pads to `size`; a side that is not smaller stays."""
        del key
        return self._padded(image, size, is_mirrored=False)

    def mirrored(self, image: Image.Image, *, size: tuple[int, int], key: int = 0) -> Image.Image:
        """Pads at the bottom and on the left."""
        del key
        return self._padded(image, size, is_mirrored=True)

    def moves(self, image_size: tuple[int, int], *, size: tuple[int, int], key: int = 0) -> tuple[Move, ...]:
        """Takes a box that reaches beyond the image."""
        del key
        return (Crop(yxyx=(0, 0, *map(max, image_size, size))),)

    def _padded(self, image: Image.Image, size: tuple[int, int], *, is_mirrored: bool) -> Image.Image:
        height, width = max(image.height, size[0]), max(image.width, size[1])
        if (height, width) == (image.height, image.width):
            return image
        padded = Image.new("RGB", (width, height), self.fill)
        padded.paste(image, (width - image.width if is_mirrored else 0, 0))
        return padded
