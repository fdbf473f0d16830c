"""Colour changes of RGB images as torchvision makes them, and their random combination."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance

from gauss_vit.data import randomness
from gauss_vit.data.images.geometry import Move
from gauss_vit.errors import ConfigError


def adjust_brightness(image: Image.Image, factor: float) -> Image.Image:
    """Multiplies every value: 0 is black, 1 the image itself."""
    return ImageEnhance.Brightness(image).enhance(factor)


def adjust_contrast(image: Image.Image, factor: float) -> Image.Image:
    """Moves away from the mean grey: 0 is that grey everywhere, 1 the image itself."""
    return ImageEnhance.Contrast(image).enhance(factor)


def adjust_saturation(image: Image.Image, factor: float) -> Image.Image:
    """Moves away from grey: 0 is the grey image, 1 the image itself."""
    return ImageEnhance.Color(image).enhance(factor)


def adjust_sharpness(image: Image.Image, factor: float) -> Image.Image:
    """Moves away from a smoothed image: 0 is smoothed, 1 the image itself."""
    return ImageEnhance.Sharpness(image).enhance(factor)


def adjust_hue(image: Image.Image, shift: float) -> Image.Image:
    """Turns the colour circle by a share of it; 0.5 and -0.5 are opposite colours, but for rounding to 1 / 256.

    The image passes through 8-bit HSV, which alone changes values by a few units.

    Source: torchvision.transforms.functional.adjust_hue.
    """
    hue, saturation, value = image.convert("HSV").split()
    turned = (np.asarray(hue).astype(np.int32) + math.trunc(shift * 255)) % 256
    return Image.merge("HSV", (Image.fromarray(turned.astype(np.uint8)), saturation, value)).convert("RGB")


@dataclass(frozen=True, kw_only=True)
class ColorJitter:
    """Brightness, contrast, saturation and hue changed at random, in a random order; the size stays.

    Attributes:
      brightness, contrast, saturation: j of a factor uniform in max(0, 1 - j) .. 1 + j; 0 turns a change off.
      hue: j of a turn uniform in -j .. j, at most 0.5; 0 turns it off.

    Source: torchvision.transforms.ColorJitter.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self):
        """Checks the ranges.

        Raises:
          ConfigError: a value is negative or not finite, or the hue is above 0.5.
        """
        for name in ("brightness", "contrast", "saturation"):
            value = vars(self)[name]
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"ColorJitter.{name} must be a finite number >= 0, got {value}")
        if not 0 <= self.hue <= 0.5:
            raise ConfigError(f"ColorJitter.hue must be in 0..0.5, got {self.hue}")

    def moves(self, image_size: tuple[int, int], *, size: tuple[int, int], key: int) -> tuple[Move, ...]:
        """Changes colours and moves nothing."""
        del image_size, size, key
        return ()

    def __call__(self, image: Image.Image, *, size: tuple[int, int], key: int) -> Image.Image:
        """Changes the colours."""
        del size
        changes = self.changes
        for place in range(len(changes)):
            index = randomness.permute(place, size=len(changes), key=randomness.fold(key, 1))
            adjust, low, high = changes[index]
            image = adjust(image, low + (high - low) * randomness.uniform(key, index))
        return image

    def mirrored(self, image: Image.Image, *, size: tuple[int, int], key: int) -> Image.Image:
        """Changes the colours: no change looks at where a pixel is."""
        return self(image, size=size, key=key)

    @property
    def changes(self) -> tuple[tuple[Callable[[Image.Image, float], Image.Image], float, float], ...]:
        """The changes that are on, each with the smallest and the largest argument."""
        factors = (
            (adjust_brightness, self.brightness),
            (adjust_contrast, self.contrast),
            (adjust_saturation, self.saturation),
        )
        changes = tuple((adjust, max(0.0, 1.0 - jitter), 1.0 + jitter) for adjust, jitter in factors if jitter)
        return (*changes, (adjust_hue, -self.hue, self.hue)) if self.hue else changes
