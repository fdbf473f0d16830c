"""Image transforms as frozen values: pure functions of (image, size, key), on the host, uint8 in and out.

What draws its parameters from the key also says with `moves` where it moves places to, so that masks and boxes follow
(`gauss_vit.data.images.geometry`). Transforms without `moves` are for images alone.

`size` is the (height, width) in pixels that the model takes. `key` is a 64-bit integer from `randomness.fold`; equal
keys give equal results on every machine. Transforms that draw nothing ignore it.
"""

from dataclasses import dataclass
from typing import Literal, Protocol, get_args, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from gauss_vit.data import randomness
from gauss_vit.data.images import image as images
from gauss_vit.data.images import resample_simd
from gauss_vit.data.images.geometry import Crop, Flip, Move, Rotation, Scale
from gauss_vit.errors import ConfigError

Interpolation = Literal["bicubic", "bilinear"]
RotationInterpolation = Literal["bicubic", "bilinear", "nearest"]
RandomInterpolation = Literal["bicubic", "bilinear", "random"]
Resampler = Literal["pillow", "simd"]

_LARGEST_SIDE = 4096


@runtime_checkable
class Transform(Protocol):
    """One step from a decoded image towards the model's input."""

    def __call__(self, image: Image.Image, *, size: tuple[int, int], key: int) -> Image.Image:
        """Transforms one RGB image.

        Args:
          image: RGB image.
          size: (height, width) in pixels that the model takes.
          key: where this image's random numbers come from.
        """
        ...


@runtime_checkable
class WholeImageTransform(Transform, Protocol):
    """A transform for evaluation that gives each image a size of its own; masks keep the size of their files."""

    def size_of(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """Computes the (height, width) in pixels that it gives an image of that size."""
        ...


@runtime_checkable
class MirroredTransform(Protocol):
    """What a transform also has that a flip can come after as well as before."""

    def mirrored(self, image: Image.Image, *, size: tuple[int, int], key: int) -> Image.Image:
        """Computes the mirror image of what the transform makes of the mirror image.

        Pixel by pixel, but for values that an interpolation rounds the other way. Arguments as for the transform.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class RandomResizedCrop:
    """Crops a random part of the image and resizes it to the model's size or to another.

    Attributes:
      scale: smallest and largest share of the image's area that is kept.
      ratio: smallest and largest width / height of the part, before resizing.
      interpolation: "bicubic" or "bilinear", both antialiased; "random" draws one of the two for each image (timm).
      output_size: (height, width) in pixels of the result; None is the model's size.
      resampler: "pillow" gives torchvision's pixels; "simd" differs by a level in one or two of a hundred values, and
        is three times as fast at resizing (`gauss_vit.data.images.resample_simd`).

    Source: torchvision.transforms.RandomResizedCrop (ten tries, then a central crop).
    """

    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    interpolation: RandomInterpolation = "bicubic"
    output_size: tuple[int, int] | None = None
    resampler: Resampler = "pillow"

    def __post_init__(self):
        """Checks the ranges.

        Raises:
          ConfigError: a range is empty or leaves what an image can give, or a name is unknown.
        """
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ConfigError(f"RandomResizedCrop.scale must be 0 < low <= high <= 1, got {self.scale}")
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise ConfigError(f"RandomResizedCrop.ratio must be 0 < low <= high, got {self.ratio}")
        if self.output_size is not None and not all(0 < side <= _LARGEST_SIDE for side in self.output_size):
            raise ConfigError(f"RandomResizedCrop.output_size must be in 1..{_LARGEST_SIDE}, got {self.output_size}")
        check_interpolation(self.interpolation, known=get_args(RandomInterpolation))
        if self.resampler not in get_args(Resampler):
            raise ConfigError(f"RandomResizedCrop.resampler is pillow or simd, got {self.resampler!r}")

    def __call__(self, image: Image.Image, *, size: tuple[int, int], key: int) -> Image.Image:
        """Crops and resizes to `output_size` or `size`."""
        return self.resized(image.crop(self.box(image.size[::-1], key=key)), size=size, key=key)

    def box(self, image_size: tuple[int, int], *, key: int) -> tuple[int, int, int, int]:
        """Draws the part to keep of an image of that (height, width)."""
        return images.random_crop_box(image_size, scale=self.scale, ratio=self.ratio, key=key)

    def moves(self, image_size: tuple[int, int], *, size: tuple[int, int], key: int) -> tuple[Move, ...]:
        """Crops, then scales."""
        left, top, right, bottom = self.box(image_size, key=key)
        return Crop(yxyx=(top, left, bottom, right)), Scale(size=self.output_size or size)

    def resized(self, cropped: Image.Image, *, size: tuple[int, int], key: int) -> Image.Image:
        """Resizes the part to `output_size` or `size`."""
        if self.resampler == "simd":
            return Image.fromarray(self.resized_array(images.to_array(cropped), size=size, key=key))
        return images.resize(cropped, size=self.output_size or size, interpolation=self._filter(key))

    def resized_array(
        self, cropped: UInt8[np.ndarray, "height width 3"], *, size: tuple[int, int], key: int
    ) -> UInt8[np.ndarray, "new_height new_width 3"]:
        """Resizes the part as `resized` does with resampler "simd", from array to array."""
        return resample_simd.resize(cropped, size=self.output_size or size, interpolation=self._filter(key))

    def _filter(self, key: int) -> Interpolation:
        """The filter for this image."""
        if self.interpolation != "random":
            return self.interpolation
        return drawn_interpolation("random", key=randomness.fold(key, 1), draw=0)


@dataclass(frozen=True, kw_only=True)
class RandomFlip:
    """Flips some of the images horizontally. Not for digits or text.

    In training the device flips, where no transform after this one has to see it (`gauss_vit.data.images.preprocess`).

    Attributes:
      probability: share of the images that are flipped.
    """

    probability: float = 0.5

    def __post_init__(self):
        """Checks the range.

        Raises:
          ConfigError: probability is not in 0..1.
        """
        if not 0 <= self.probability <= 1:
            raise ConfigError(f"RandomFlip.probability must be in 0..1, got {self.probability}")

    def __call__(self, image: Image.Image, *, size: tuple[int, int], key: int) -> Image.Image:
        """Flips or returns the image itself; the size stays."""
        del size
        return images.flip(image) if self.is_drawn(key) else image

    def moves(self, image_size: tuple[int, int], *, size: tuple[int, int], key: int) -> tuple[Move, ...]:
        """Flips or does nothing."""
        del image_size, size
        return (Flip(),) if self.is_drawn(key) else ()

    def is_drawn(self, key: int) -> bool:
        """Whether this image is flipped."""
        return randomness.uniform(key, 0) < self.probability


@dataclass(frozen=True, kw_only=True)
class RandomShift:
    """Moves the image by a few pixels, at its own size (pad and crop): the gentle crop for small images.

    Attributes:
      max_shift_px: largest movement along each axis, in pixels; every whole number up to it is equally likely.
      fill: grey level, 0..255, of the pixels that come in at the border.
    """

    max_shift_px: int
    fill: int = 0

    def __post_init__(self):
        """Checks the ranges.

        Raises:
          ConfigError: the shift is negative or the fill is not a grey level.
        """
        if self.max_shift_px < 0:
            raise ConfigError(f"RandomShift.max_shift_px must be 0 or more, got {self.max_shift_px}")
        if not 0 <= self.fill <= 255:
            raise ConfigError(f"RandomShift.fill must be in 0..255, got {self.fill}")

    def __call__(self, image: Image.Image, *, size: tuple[int, int], key: int) -> Image.Image:
        """Moves the image; the size stays."""
        del size
        return images.shift(image, shift_yx=self.shift_yx(key), fill=self.fill)

    def moves(self, image_size: tuple[int, int], *, size: tuple[int, int], key: int) -> tuple[Move, ...]:
        """Crops a box of the image's size that is shifted the other way."""
        del size
        (height, width), (down, right) = image_size, self.shift_yx(key)
        return (Crop(yxyx=(-down, -right, height - down, width - right)),)

    def shift_yx(self, key: int) -> tuple[int, int]:
        """Draws how many pixels this image moves down and right."""
        num_shifts = 2 * self.max_shift_px + 1
        shift_y = randomness.below(num_shifts, key=key, draw=0) - self.max_shift_px
        shift_x = randomness.below(num_shifts, key=key, draw=1) - self.max_shift_px
        return shift_y, shift_x


@dataclass(frozen=True, kw_only=True)
class RandomRotation:
    """Turns the image about its centre by a random angle, at its own size.

    Attributes:
      degrees: d of an angle uniform in -d .. d.
      interpolation: "nearest", "bilinear" or "bicubic".
      fill: grey level, 0..255, of the corners that come in.

    Source: torchvision.transforms.RandomRotation, with its default filter.
    """

    degrees: float
    interpolation: RotationInterpolation = "nearest"
    fill: int = 0

    def __post_init__(self):
        """Checks the ranges.

        Raises:
          ConfigError: the angle is not in 0..180, the filter is unknown or the fill is not a grey level.
        """
        if not 0 <= self.degrees <= 180:
            raise ConfigError(f"RandomRotation.degrees must be in 0..180, got {self.degrees}")
        if self.interpolation not in get_args(RotationInterpolation):
            raise ConfigError(f"RandomRotation.interpolation is unknown: {self.interpolation!r}")
        if not 0 <= self.fill <= 255:
            raise ConfigError(f"RandomRotation.fill must be in 0..255, got {self.fill}")

    def __call__(self, image: Image.Image, *, size: tuple[int, int], key: int) -> Image.Image:
        """Rotates the image; the size stays."""
        del size
        filters = {"nearest": Image.Resampling.NEAREST, **images.FILTERS}
        fill = (self.fill, self.fill, self.fill)
        return image.rotate(self.angle(key), resample=filters[self.interpolation], fillcolor=fill)

    def moves(self, image_size: tuple[int, int], *, size: tuple[int, int], key: int) -> tuple[Move, ...]:
        """Rotates."""
        del image_size, size
        return (Rotation(degrees=self.angle(key)),)

    def angle(self, key: int) -> float:
        """Draws the angle of this image, in degrees counter-clockwise."""
        return self.degrees * (2 * randomness.uniform(key, 0) - 1)


@dataclass(frozen=True, kw_only=True)
class CenterCrop:
    """Crops the middle of the image to the model's size, without resizing; black where the image is smaller.

    Source: torchvision.transforms.CenterCrop.
    """

    def __call__(self, image: Image.Image, *, size: tuple[int, int], key: int = 0) -> Image.Image:
        """Crops to `size`."""
        del key
        return images.center_crop(image, size=size)

    def moves(self, image_size: tuple[int, int], *, size: tuple[int, int], key: int = 0) -> tuple[Move, ...]:
        """Crops the middle."""
        del key
        return (_central(image_size, size),)


@dataclass(frozen=True, kw_only=True)
class Resize:
    """Resizes the whole image to the model's size, without regard to its proportions.

    Attributes:
      interpolation: "bicubic" or "bilinear", both antialiased.
    """

    interpolation: Interpolation = "bicubic"

    def __post_init__(self):
        """Checks the filter.

        Raises:
          ConfigError: the filter is unknown.
        """
        check_interpolation(self.interpolation, known=get_args(Interpolation))

    def __call__(self, image: Image.Image, *, size: tuple[int, int], key: int = 0) -> Image.Image:
        """Resizes to `size`."""
        del key
        return images.resize(image, size=size, interpolation=self.interpolation)

    def moves(self, image_size: tuple[int, int], *, size: tuple[int, int], key: int = 0) -> tuple[Move, ...]:
        """Scales."""
        del image_size, key
        return (Scale(size=size),)


@dataclass(frozen=True, kw_only=True)
class ResizeCenterCrop:
    """Resizes, then crops the middle to the model's size: what published accuracies are measured on.

    Attributes:
      crop_fraction: size of the crop as a share of the resized image; 0.9 at 224 px resizes to 248 px.
      interpolation: "bicubic" or "bilinear", both antialiased.
      stretches: whether each side is resized on its own, so that images lose their proportions (timm's crop mode
        "squash").

    Source: timm.data.create_transform for evaluation (torchvision Resize and CenterCrop of a PIL image).
    """

    crop_fraction: float = 0.9
    interpolation: Interpolation = "bicubic"
    stretches: bool = False

    def __post_init__(self):
        """Checks the range.

        Raises:
          ConfigError: crop_fraction is not in (0, 1], or the filter is unknown.
        """
        if not 0 < self.crop_fraction <= 1:
            raise ConfigError(f"ResizeCenterCrop.crop_fraction must be in (0, 1], got {self.crop_fraction}")
        check_interpolation(self.interpolation, known=get_args(Interpolation))

    @property
    def at_model_size(self) -> "ResizeCenterCrop":
        """The transform itself: it gives all images the model's size."""
        return self

    def __call__(self, image: Image.Image, *, size: tuple[int, int], key: int = 0) -> Image.Image:
        """Resizes and crops to `size`."""
        del key
        resized_size = self._size_before_crop(image.size[::-1], size)
        return images.center_crop(images.resize(image, size=resized_size, interpolation=self.interpolation), size=size)

    def moves(self, image_size: tuple[int, int], *, size: tuple[int, int], key: int = 0) -> tuple[Move, ...]:
        """Scales, then crops the middle."""
        del key
        resized_size = self._size_before_crop(image_size, size)
        return Scale(size=resized_size), _central(resized_size, size)

    def _size_before_crop(self, image_size: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
        """Computes the size to resize to."""
        if self.stretches:
            return images.stretched_size(size, crop_fraction=self.crop_fraction)
        return images.size_before_crop(image_size, size=size, crop_fraction=self.crop_fraction)


def _central(image_size: tuple[int, int], size: tuple[int, int]) -> Crop:
    """The crop that `images.center_crop` makes."""
    left, top, right, bottom = images.center_crop_box(image_size, size=size)
    return Crop(yxyx=(top, left, bottom, right))


def drawn_interpolation(interpolation: RandomInterpolation, *, key: int, draw: int) -> Interpolation:
    """Returns the filter for one image: the named one, or one of the two with equal chances."""
    if interpolation != "random":
        return interpolation
    return "bicubic" if randomness.uniform(key, draw) < 0.5 else "bilinear"


def check_interpolation(interpolation: str, *, known: tuple[str, ...]) -> None:
    """Refuses an unknown filter.

    Raises:
      ConfigError: it is not one of the known.
    """
    if interpolation not in known:
        raise ConfigError(f"interpolation must be one of {', '.join(known)}, got {interpolation!r}")
