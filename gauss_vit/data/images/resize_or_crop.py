"""The training transform of detectors: images at many sizes, half of them cropped before."""

from dataclasses import dataclass

from PIL import Image

from gauss_vit.data import randomness
from gauss_vit.data.images.geometry import Move
from gauss_vit.data.images.random_scale_crop import ScaledCrop
from gauss_vit.data.images.resize_to_fit import LARGEST_SCALE, check_scale, size_to_fit
from gauss_vit.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ResizeOrCrop:
    """Resizes to a random size, or resizes, crops and resizes again, keeping proportions.

    Every resize draws the limit of the short side; the long side has one limit. The sides of a crop are drawn evenly,
    each on its own, and so is its place, which may be one without objects. Sizes differ from image to image, so that
    batches are padded (`data.buckets`).

    Attributes:
      short_sides: limits of the short side in pixels that are drawn from.
      longest_side: limit of the long side in pixels.
      crop_share: share of the images that are cropped.
      short_sides_before_crop: limits of the short side that are drawn from before a crop.
      crop_sides: smallest and largest side of a crop in pixels; an image with a shorter side is not cropped along it.

    Source: MMDetection, mask_rcnn_swin-s-p4-w7_fpn_fp16_ms-crop-3x_coco: `RandomChoice` of `RandomChoiceResize` and of
      that, `RandomCrop(crop_type="absolute_range", allow_negative_crop=True)` and `RandomChoiceResize`.
    """

    short_sides: tuple[int, ...] = (480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800)
    longest_side: int = 1333
    crop_share: float = 0.5
    short_sides_before_crop: tuple[int, ...] = (400, 500, 600)
    crop_sides: tuple[int, int] = (384, 600)

    def __post_init__(self):
        """Checks the ranges.

        Raises:
          ConfigError: a range is empty, or a number out of range.
        """
        for field in ("short_sides", "short_sides_before_crop", "crop_sides"):
            check_scale(f"ResizeOrCrop.{field}", getattr(self, field))
        if not (self.short_sides and self.short_sides_before_crop):
            raise ConfigError("ResizeOrCrop needs at least one short side before the crop and one after it")
        if not max(*self.short_sides, *self.short_sides_before_crop) <= self.longest_side <= LARGEST_SCALE:
            message = f"ResizeOrCrop.longest_side must be in 1..{LARGEST_SCALE} px and no short side be longer"
            raise ConfigError(f"{message}, got {self.longest_side}")
        if not 0 <= self.crop_share <= 1:
            raise ConfigError(f"ResizeOrCrop.crop_share must be in 0..1, got {self.crop_share}")
        if self.crop_sides[0] > self.crop_sides[1]:
            raise ConfigError(f"ResizeOrCrop.crop_sides must be 1 <= low <= high, got {self.crop_sides}")

    @property
    def largest_size(self) -> tuple[int, int]:
        """Limits in pixels of the long and of the short side of what it makes."""
        return self.longest_side, max(self.short_sides)

    def __call__(self, image: Image.Image, *, size: tuple[int, int], key: int) -> Image.Image:
        """Resizes to a size of the image's own, not to the model's; pixels are OpenCV's."""
        for step in self.steps((image.height, image.width), key=key):
            image = step(image, size=size)
        return image

    def moves(self, image_size: tuple[int, int], *, size: tuple[int, int], key: int) -> tuple[Move, ...]:
        """Scales, or scales, crops and scales."""
        return tuple(move for step in self.steps(image_size, key=key) for move in step.moves(image_size, size=size))

    def steps(self, image_size: tuple[int, int], *, key: int) -> tuple[ScaledCrop, ...]:
        """Draws what is done to an image of that (height, width)."""
        if randomness.uniform(key, 0) >= self.crop_share:
            return (self._resized(image_size, self.short_sides, key=key, draw=1),)
        whole = self._resized(image_size, self.short_sides_before_crop, key=key, draw=2).scaled_size
        height, width = (self._crop_side(side, key=key, draw=3 + axis) for axis, side in enumerate(whole))
        top = randomness.below(whole[0] - height + 1, key=key, draw=5)
        left = randomness.below(whole[1] - width + 1, key=key, draw=6)
        crop = ScaledCrop(scaled_size=whole, yxyx=(top, left, top + height, left + width))
        return crop, self._resized((height, width), self.short_sides, key=key, draw=1)

    def _resized(self, image_size: tuple[int, int], short_sides: tuple[int, ...], *, key: int, draw: int) -> ScaledCrop:
        """Draws a limit of the short side, and resizes the whole image to it."""
        short_side = short_sides[randomness.below(len(short_sides), key=key, draw=draw)]
        scaled = size_to_fit(image_size, scale=(self.longest_side, short_side))
        return ScaledCrop(scaled_size=scaled, yxyx=(0, 0, *scaled))

    def _crop_side(self, side: int, *, key: int, draw: int) -> int:
        """Draws a side of the crop, evenly between both limits or the image's own side."""
        low, high = (min(side, limit) for limit in self.crop_sides)
        return low + randomness.below(high - low + 1, key=key, draw=draw)
