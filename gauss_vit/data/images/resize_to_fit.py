"""Evaluation of whole images: each is resized to fit a scale and keeps its proportions, so that sizes differ."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from gauss_vit.data.images.opencv_resize import resize_bilinear
from gauss_vit.data.images.transforms import ResizeCenterCrop
from gauss_vit.errors import ConfigError

LARGEST_SCALE = 8192


def size_to_fit(image_size: tuple[int, int], *, scale: tuple[int, int]) -> tuple[int, int]:
    """Computes the largest size of an image's proportions that fits a scale, rounded to whole pixels, at least one.

    The long side is at most the larger and the short side at most the smaller number of the scale, in either order; the
    smaller of the two ratios multiplies both sides.

    >>> size_to_fit((1024, 683), scale=(2048, 512))
    (768, 512)

    Source: MMCV, `rescale_size`.
    """
    height, width = image_size
    factor = min(max(scale) / max(height, width), min(scale) / min(height, width))
    return max(1, int(height * factor + 0.5)), max(1, int(width * factor + 0.5))


def check_scale(field: str, scale: tuple[int, ...]) -> None:
    """Refuses a scale that no image fits, or beyond the limit.

    Raises:
      ConfigError: a number of it is not in 1..8192.
    """
    if not all(1 <= side <= LARGEST_SCALE for side in scale):
        raise ConfigError(f"{field} must be in 1..{LARGEST_SCALE} px, got {scale}")


@dataclass(frozen=True, kw_only=True)
class ResizeToFit:
    """Resizes whole images to fit a scale, so that each has a size of its own; masks keep the size of their files.

    Images are resampled as OpenCV does, without antialiasing (`gauss_vit.data.images.opencv_resize`).

    Attributes:
      scale: limits in pixels of the long and of the short side.
      multiple: both sides are rounded up to a multiple of it, which stretches images by less than so many pixels and
        leaves fewer sizes, each of which is compiled; 1 keeps the proportions.

    Source: MMSegmentation, `Resize(keep_ratio=True)`, and `ResizeToMultiple` where `multiple` is above 1.
    """

    scale: tuple[int, int] = (2048, 512)
    multiple: int = 1

    def __post_init__(self):
        """Checks the ranges.

        Raises:
          ConfigError: a number is out of range.
        """
        check_scale("ResizeToFit.scale", self.scale)
        if not 1 <= self.multiple <= min(self.scale):
            raise ConfigError(f"ResizeToFit.multiple must be in 1..{min(self.scale)}, got {self.multiple}")

    @property
    def at_model_size(self) -> ResizeCenterCrop:
        """How images are prepared where all need the model's size, as for receptive fields."""
        return ResizeCenterCrop(crop_fraction=1.0, interpolation="bilinear")

    def size_of(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """Computes the size that an image of that size is resized to."""
        height, width = size_to_fit(image_size, scale=self.scale)
        return height + -height % self.multiple, width + -width % self.multiple

    def __call__(self, image: Image.Image, *, size: tuple[int, int], key: int = 0) -> Image.Image:
        """Resizes to the size that the image's own determines, not to the model's."""
        del size, key
        return Image.fromarray(resize_bilinear(np.asarray(image), size=self.size_of((image.height, image.width))))
