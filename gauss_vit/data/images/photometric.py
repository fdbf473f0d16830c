"""Photometric distortion as recipes of segmentation and detection have it: 8-bit steps, with hues as OpenCV's."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from gauss_vit.data import randomness
from gauss_vit.data.images.geometry import Move
from gauss_vit.data.images.opencv_hsv import NUM_HUES, from_hsv, to_hsv
from gauss_vit.errors import ConfigError

_BRIGHTNESS, _CONTRAST, _ORDER, _SATURATION, _HUE = range(0, 10, 2)
"""Draws of the coin of each step; the next one is its amount."""


@dataclass(frozen=True, kw_only=True)
class Distortion:
    """Steps that are applied one after the other; None leaves a step out.

    Each step ends with bytes: sums and products are clipped to 0..255 and rounded down. Saturation and hue pass through
    8-bit HSV, which alone changes values by a few units.

    Attributes:
      brightness: what is added to every value.
      contrast: what every value is multiplied by.
      is_contrast_first: whether contrast follows brightness, or comes last.
      saturation: what the saturation is multiplied by.
      hue: by how many steps of two degrees the colour circle is turned.
    """

    brightness: float | None = None
    contrast: float | None = None
    is_contrast_first: bool = False
    saturation: float | None = None
    hue: int | None = None

    def __call__(self, image: Image.Image) -> Image.Image:
        """Applies the steps."""
        if self.brightness is not None:
            image = _mapped(image, _table(offset=self.brightness))
        if self.contrast is not None and self.is_contrast_first:
            image = _mapped(image, _table(factor=self.contrast))
        if self.saturation is not None:
            hue, saturation, value = to_hsv(np.asarray(image))
            image = Image.fromarray(from_hsv(hue, _table(factor=self.saturation)[saturation], value))
        if self.hue is not None:
            hue, saturation, value = to_hsv(np.asarray(image))
            turned = (hue.astype(np.int16) + self.hue) % NUM_HUES
            image = Image.fromarray(from_hsv(turned.astype(np.uint8), saturation, value))
        if self.contrast is not None and not self.is_contrast_first:
            image = _mapped(image, _table(factor=self.contrast))
        return image


@dataclass(frozen=True, kw_only=True)
class PhotometricDistortion:
    """Changes brightness, contrast, saturation and hue, each of half of the images; the size stays.

    Attributes:
      brightness: b of what is added, uniform in -b .. b.
      contrast: range of the uniform factor of all values; it is applied after brightness or last, with equal chances.
      saturation: range of the uniform factor of saturation.
      hue: h of the turn of the colour circle in steps of two degrees, a whole number in -h .. h - 1.

    Source: MMSegmentation, `PhotoMetricDistortion`.
    """

    brightness: float = 32.0
    contrast: tuple[float, float] = (0.5, 1.5)
    saturation: tuple[float, float] = (0.5, 1.5)
    hue: int = 18

    def __post_init__(self):
        """Checks the ranges.

        Raises:
          ConfigError: a range is empty, negative or not finite, or the hue is not in 0..90.
        """
        if not 0 <= self.brightness <= 255:
            raise ConfigError(f"PhotometricDistortion.brightness must be in 0..255, got {self.brightness}")
        for name in ("contrast", "saturation"):
            low, high = vars(self)[name]
            if not (0 <= low <= high and math.isfinite(high)):
                raise ConfigError(f"PhotometricDistortion.{name} must be 0 <= low <= high, got {(low, high)}")
        if not 0 <= self.hue <= NUM_HUES // 2:
            raise ConfigError(f"PhotometricDistortion.hue must be in 0..{NUM_HUES // 2}, got {self.hue}")

    def __call__(self, image: Image.Image, *, size: tuple[int, int], key: int) -> Image.Image:
        """Changes the colours."""
        del size
        return self.drawn(key)(image)

    def mirrored(self, image: Image.Image, *, size: tuple[int, int], key: int) -> Image.Image:
        """Changes the colours: no step looks at where a pixel is."""
        return self(image, size=size, key=key)

    def moves(self, image_size: tuple[int, int], *, size: tuple[int, int], key: int) -> tuple[Move, ...]:
        """Changes colours and moves nothing."""
        del image_size, size, key
        return ()

    def drawn(self, key: int) -> Distortion:
        """Draws the steps for one image."""

        def between(low: float, high: float, *, draw: int) -> float | None:
            return low + (high - low) * randomness.uniform(key, draw + 1) if _coin(key, draw) else None

        is_turned = self.hue > 0 and _coin(key, _HUE)
        return Distortion(
            brightness=between(-self.brightness, self.brightness, draw=_BRIGHTNESS),
            contrast=between(*self.contrast, draw=_CONTRAST),
            is_contrast_first=_coin(key, _ORDER),
            saturation=between(*self.saturation, draw=_SATURATION),
            hue=randomness.below(2 * self.hue, key=key, draw=_HUE + 1) - self.hue if is_turned else None,
        )


def _coin(key: int, draw: int) -> bool:
    return randomness.uniform(key, draw) < 0.5


def _table(*, factor: float = 1.0, offset: float = 0.0) -> UInt8[np.ndarray, "256"]:
    """factor * v + offset of every byte v, in float32, clipped and rounded down."""
    return np.clip(np.arange(256, dtype=np.float32) * factor + offset, 0, 255).astype(np.uint8)


def _mapped(image: Image.Image, table: UInt8[np.ndarray, "256"]) -> Image.Image:
    """Looks every value of an RGB image up in a table."""
    return image.point(table.tolist() * 3)
