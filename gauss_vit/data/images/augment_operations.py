"""The single operations of RandAugment and AutoAugment, as timm defines them.

Each is a function of an RGB image and of a `Stroke`. Names that end in `_increasing` become more severe with the level,
as RandAugment wants it; of the others some do and some do not, as AutoAugment's policy expects. Image sizes stay.

Source: timm 1.0.31, `auto_augment.py` (its `LEVEL_TO_ARG` and `NAME_TO_OP`); the functions have its names.
"""

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageOps

from gauss_vit.data.images import color as colors

HIGHEST_LEVEL = 10.0


@dataclass(frozen=True, kw_only=True)
class Stroke:
    """The drawn parameters of one operation.

    Attributes:
      level: severity, from 0 to `HIGHEST_LEVEL`.
      is_negative: whether operations with two directions take the negative one.
      resample: the filter of operations that move pixels.
      fill: R, G and B, 0..255, of pixels that come in at the border.
      is_mirrored: whether the image is flipped afterwards: the result, flipped, is that of the flipped image.
    """

    level: float
    is_negative: bool
    resample: Image.Resampling
    fill: tuple[int, int, int]
    is_mirrored: bool = False

    def upto(self, largest: float) -> float:
        """A share of the largest argument, in proportion to the level."""
        return self.level / HIGHEST_LEVEL * largest

    def signed(self, largest: float) -> float:
        """The same in the stroke's direction."""
        return -self.upto(largest) if self.is_negative else self.upto(largest)

    def sideways(self, largest: float) -> float:
        """The same where a flip turns the direction round."""
        return -self.signed(largest) if self.is_mirrored else self.signed(largest)

    @property
    def factor(self) -> float:
        """A factor from 0.1 to 1.9 that rises with the level; 5 leaves the image as it is."""
        return self.upto(1.8) + 0.1

    @property
    def increasing_factor(self) -> float:
        """A factor from 0.1 to 1.9 whose distance from 1 rises with the level."""
        return max(0.1, 1.0 + self.signed(0.9))


Operation = Callable[[Image.Image, Stroke], Image.Image]


def auto_contrast(image: Image.Image, _: Stroke) -> Image.Image:
    """Stretches every channel to 0..255."""
    return ImageOps.autocontrast(image)


def equalize(image: Image.Image, _: Stroke) -> Image.Image:
    """Makes the histogram of every channel flat."""
    return ImageOps.equalize(image)


def invert(image: Image.Image, _: Stroke) -> Image.Image:
    """Inverts every value."""
    return ImageOps.invert(image)


def rotate(image: Image.Image, stroke: Stroke) -> Image.Image:
    """Rotates by up to 30 degrees about the centre."""
    return image.rotate(stroke.sideways(30.0), resample=stroke.resample, fillcolor=stroke.fill)


def posterize_original(image: Image.Image, stroke: Stroke) -> Image.Image:
    """Keeps 4 to 8 bits of every value, more at higher levels."""
    return _keep_bits(image, int(stroke.upto(4.0)) + 4)


def posterize_increasing(image: Image.Image, stroke: Stroke) -> Image.Image:
    """Keeps 4 to 0 bits of every value, fewer at higher levels."""
    return _keep_bits(image, 4 - int(stroke.upto(4.0)))


def solarize(image: Image.Image, stroke: Stroke) -> Image.Image:
    """Inverts values from a threshold on; the threshold rises with the level, to 256 where none is inverted."""
    return ImageOps.solarize(image, int(stroke.upto(256.0)))


def solarize_increasing(image: Image.Image, stroke: Stroke) -> Image.Image:
    """Inverts values from a threshold on; the threshold falls with the level, to 0 where all are inverted."""
    return ImageOps.solarize(image, 256 - int(stroke.upto(256.0)))


def solarize_add(image: Image.Image, stroke: Stroke) -> Image.Image:
    """Adds up to 110 to the values below 128."""
    added = int(stroke.upto(110.0))
    table = [min(255, value + added) if value < 128 else value for value in range(256)]
    return image.point(table * 3)


def color(image: Image.Image, stroke: Stroke) -> Image.Image:
    """From nearly grey to vivid."""
    return colors.adjust_saturation(image, stroke.factor)


def contrast(image: Image.Image, stroke: Stroke) -> Image.Image:
    """From nearly even to harsh."""
    return colors.adjust_contrast(image, stroke.factor)


def sharpness(image: Image.Image, stroke: Stroke) -> Image.Image:
    """From blurred to sharp."""
    return colors.adjust_sharpness(image, stroke.factor)


def color_increasing(image: Image.Image, stroke: Stroke) -> Image.Image:
    """Greyer or more vivid."""
    return colors.adjust_saturation(image, stroke.increasing_factor)


def contrast_increasing(image: Image.Image, stroke: Stroke) -> Image.Image:
    """More even or harsher."""
    return colors.adjust_contrast(image, stroke.increasing_factor)


def brightness_increasing(image: Image.Image, stroke: Stroke) -> Image.Image:
    """Darker or brighter."""
    return colors.adjust_brightness(image, stroke.increasing_factor)


def sharpness_increasing(image: Image.Image, stroke: Stroke) -> Image.Image:
    """Blurred or sharper."""
    return colors.adjust_sharpness(image, stroke.increasing_factor)


def shear_x(image: Image.Image, stroke: Stroke) -> Image.Image:
    """Moves rows sideways by up to 0.3 of their distance from the top."""
    return _affine(image, (1.0, stroke.sideways(0.3), 0.0, 0.0, 1.0, 0.0), stroke)


def shear_y(image: Image.Image, stroke: Stroke) -> Image.Image:
    """Moves columns up or down by up to 0.3 of their distance from the left, mirrored from the right."""
    fixed_column = image.width if stroke.is_mirrored else 0
    slope = stroke.sideways(0.3)
    return _affine(image, (1.0, 0.0, 0.0, slope, 1.0, -slope * fixed_column), stroke)


def translate_x(image: Image.Image, stroke: Stroke) -> Image.Image:
    """Moves the image sideways by up to 0.45 of its width (timm's `TranslateXRel`)."""
    return _affine(image, (1.0, 0.0, stroke.sideways(0.45) * image.width, 0.0, 1.0, 0.0), stroke)


def translate_y(image: Image.Image, stroke: Stroke) -> Image.Image:
    """Moves the image up or down by up to 0.45 of its height (timm's `TranslateYRel`)."""
    return _affine(image, (1.0, 0.0, 0.0, 0.0, 1.0, stroke.signed(0.45) * image.height), stroke)


def _affine(image: Image.Image, matrix: tuple[float, float, float, float, float, float], stroke: Stroke) -> Image.Image:
    """Takes every pixel (x, y) of the result from (a x + b y + c, d x + e y + f) of the image."""
    return image.transform(image.size, Image.Transform.AFFINE, matrix, resample=stroke.resample, fillcolor=stroke.fill)


def _keep_bits(image: Image.Image, num_bits: int) -> Image.Image:
    """Sets all but the highest bits of every value to 0; 0 bits are black, which newer versions of Pillow refuse."""
    mask = 256 - 2 ** (8 - num_bits)
    return image.point([value & mask for value in range(256)] * 3)
