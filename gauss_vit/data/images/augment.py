"""RandAugment and AutoAugment as frozen values: a few random operations on every training image, for images alone."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import get_args

from PIL import Image

from gauss_vit.data import randomness
from gauss_vit.data.images import augment_operations as operations
from gauss_vit.data.images import image as images
from gauss_vit.data.images.augment_operations import HIGHEST_LEVEL, Operation, Stroke
from gauss_vit.data.images.transforms import RandomInterpolation, check_interpolation, drawn_interpolation
from gauss_vit.errors import ConfigError

RAND_AUGMENT: Sequence[Operation] = (
    operations.auto_contrast,
    operations.equalize,
    operations.invert,
    operations.rotate,
    operations.posterize_increasing,
    operations.solarize_increasing,
    operations.solarize_add,
    operations.color_increasing,
    operations.contrast_increasing,
    operations.brightness_increasing,
    operations.sharpness_increasing,
    operations.shear_x,
    operations.shear_y,
    operations.translate_x,
    operations.translate_y,
)
"""Operations of RandAugment: those of timm whose severity increases with the magnitude."""

_AUTO_CONTRAST, _EQUALIZE, _INVERT = operations.auto_contrast, operations.equalize, operations.invert
_ROTATE, _SHEAR_X, _SOLARIZE = operations.rotate, operations.shear_x, operations.solarize
_POSTERIZE, _COLOR = operations.posterize_original, operations.color
_CONTRAST, _SHARPNESS = operations.contrast, operations.sharpness

AUTO_AUGMENT: Sequence[tuple[tuple[Operation, float, float], ...]] = (
    ((_POSTERIZE, 0.4, 8.0), (_ROTATE, 0.6, 9.0)),
    ((_SOLARIZE, 0.6, 5.0), (_AUTO_CONTRAST, 0.6, 5.0)),
    ((_EQUALIZE, 0.8, 8.0), (_EQUALIZE, 0.6, 3.0)),
    ((_POSTERIZE, 0.6, 7.0), (_POSTERIZE, 0.6, 6.0)),
    ((_EQUALIZE, 0.4, 7.0), (_SOLARIZE, 0.2, 4.0)),
    ((_EQUALIZE, 0.4, 4.0), (_ROTATE, 0.8, 8.0)),
    ((_SOLARIZE, 0.6, 3.0), (_EQUALIZE, 0.6, 7.0)),
    ((_POSTERIZE, 0.8, 5.0), (_EQUALIZE, 1.0, 2.0)),
    ((_ROTATE, 0.2, 3.0), (_SOLARIZE, 0.6, 8.0)),
    ((_EQUALIZE, 0.6, 8.0), (_POSTERIZE, 0.4, 6.0)),
    ((_ROTATE, 0.8, 8.0), (_COLOR, 0.4, 0.0)),
    ((_ROTATE, 0.4, 9.0), (_EQUALIZE, 0.6, 2.0)),
    ((_EQUALIZE, 0.0, 7.0), (_EQUALIZE, 0.8, 8.0)),
    ((_INVERT, 0.6, 4.0), (_EQUALIZE, 1.0, 8.0)),
    ((_COLOR, 0.6, 4.0), (_CONTRAST, 1.0, 8.0)),
    ((_ROTATE, 0.8, 8.0), (_COLOR, 1.0, 2.0)),
    ((_COLOR, 0.8, 8.0), (_SOLARIZE, 0.8, 7.0)),
    ((_SHARPNESS, 0.4, 7.0), (_INVERT, 0.6, 8.0)),
    ((_SHEAR_X, 0.6, 5.0), (_EQUALIZE, 1.0, 9.0)),
    ((_COLOR, 0.4, 0.0), (_EQUALIZE, 0.6, 3.0)),
    ((_EQUALIZE, 0.4, 7.0), (_SOLARIZE, 0.2, 4.0)),
    ((_SOLARIZE, 0.6, 5.0), (_AUTO_CONTRAST, 0.6, 5.0)),
    ((_INVERT, 0.6, 4.0), (_EQUALIZE, 1.0, 8.0)),
    ((_COLOR, 0.6, 4.0), (_CONTRAST, 1.0, 8.0)),
    ((_EQUALIZE, 0.8, 8.0), (_EQUALIZE, 0.6, 3.0)),
)
"""The policy that was searched on ImageNet: pairs of operations, each with a probability and a magnitude."""

_CHOICE, _IS_APPLIED, _LEVEL, _DIRECTION, _FILTER = range(5)
_LARGEST_STD = 100.0
"""Above it, timm's notation means that levels are uniform."""
_SECTION = re.compile(r"(mstd|inc|m|n|p)(\d+(?:\.\d+)?)")


@dataclass(frozen=True, kw_only=True)
class RandAugment:
    """Applies random operations, chosen with replacement, of about one magnitude; for images alone.

    Attributes:
      magnitude: mean severity, 0..10.
      magnitude_std: standard deviation of the severity, which is cut to 0..10; above 100, as in timm's `mstd101`, the
        severity is uniform in 0..magnitude instead.
      num_operations: number of operations chosen for an image.
      probability: probability that a chosen one is applied.
      fill: R, G and B, 0..255, of pixels that come in at the border; timm takes the data's mean colour.
      interpolation: filter of operations that move pixels; "random" draws one of the two each time.

    Source: Cubuk et al., arXiv:1909.13719, in timm's variant `rand-m9-mstd0.5-inc1`, whose numbers are the defaults.
    """

    magnitude: float = 9.0
    magnitude_std: float = 0.5
    num_operations: int = 2
    probability: float = 0.5
    fill: tuple[int, int, int] = (128, 128, 128)
    interpolation: RandomInterpolation = "random"

    def __post_init__(self):
        """Checks the ranges.

        Raises:
          ConfigError: a value is out of range.
        """
        if not 0 <= self.magnitude <= HIGHEST_LEVEL:
            raise ConfigError(f"RandAugment.magnitude must be in 0..10, got {self.magnitude}")
        if self.num_operations < 1:
            raise ConfigError(f"RandAugment.num_operations must be 1 or more, got {self.num_operations}")
        if not 0 <= self.probability <= 1:
            raise ConfigError(f"RandAugment.probability must be in 0..1, got {self.probability}")
        _check_look("RandAugment", self.magnitude_std, fill=self.fill, interpolation=self.interpolation)

    def __call__(self, image: Image.Image, *, size: tuple[int, int], key: int) -> Image.Image:
        """Applies the operations one after the other."""
        del size
        return _painted(image, self._strokes(key))

    def mirrored(self, image: Image.Image, *, size: tuple[int, int], key: int) -> Image.Image:
        """Applies the same operations, each mirrored."""
        del size
        return _painted(image, _mirrored(self._strokes(key)))

    def _strokes(self, key: int) -> Iterator[tuple[Operation, Stroke]]:
        """Draws operations and yields those that are applied."""
        for place in range(self.num_operations):
            own_key = randomness.fold(key, place)
            operation = RAND_AUGMENT[randomness.below(len(RAND_AUGMENT), key=own_key, draw=_CHOICE)]
            if randomness.uniform(own_key, _IS_APPLIED) < self.probability:
                level = drawn_level(self.magnitude, self.magnitude_std, key=own_key)
                yield operation, _stroke(level, fill=self.fill, interpolation=self.interpolation, key=own_key)


@dataclass(frozen=True, kw_only=True)
class AutoAugment:
    """Applies one of 25 learned pairs of operations to every image; for images alone.

    Attributes:
      magnitude_std: standard deviation of the severities around those of the policy, cut to 0..10; above 100 they are
        uniform from 0 to those of the policy instead.
      fill: R, G and B, 0..255, of pixels that come in at the border; timm takes the data's mean colour.
      interpolation: filter of operations that move pixels; "random" draws one of the two each time.

    Source: Cubuk et al., arXiv:1805.09501, table 9 (ImageNet), as timm's policy `original`.
    """

    magnitude_std: float = 0.0
    fill: tuple[int, int, int] = (128, 128, 128)
    interpolation: RandomInterpolation = "random"

    def __post_init__(self):
        """Checks the ranges.

        Raises:
          ConfigError: a value is out of range.
        """
        _check_look("AutoAugment", self.magnitude_std, fill=self.fill, interpolation=self.interpolation)

    def __call__(self, image: Image.Image, *, size: tuple[int, int], key: int) -> Image.Image:
        """Applies a pair of operations, each with its probability."""
        del size
        return _painted(image, self._strokes(key))

    def mirrored(self, image: Image.Image, *, size: tuple[int, int], key: int) -> Image.Image:
        """Applies the same operations, each mirrored."""
        del size
        return _painted(image, _mirrored(self._strokes(key)))

    def _strokes(self, key: int) -> Iterator[tuple[Operation, Stroke]]:
        """Draws a pair of operations and yields those that are applied."""
        pair = AUTO_AUGMENT[randomness.below(len(AUTO_AUGMENT), key=key, draw=_CHOICE)]
        for place, (operation, probability, magnitude) in enumerate(pair):
            own_key = randomness.fold(key, place)
            if randomness.uniform(own_key, _IS_APPLIED) < probability:
                level = drawn_level(magnitude, self.magnitude_std, key=own_key)
                yield operation, _stroke(level, fill=self.fill, interpolation=self.interpolation, key=own_key)


def rand_augment(notation: str, *, fill: tuple[int, int, int] = (128, 128, 128)) -> RandAugment:
    """Reads timm's notation: sections m (magnitude), n (operations), p (probability), mstd, and the required inc1.

    >>> rand_augment("rand-m7-n3-inc1").magnitude
    7.0

    Args:
      notation: such as "rand-m9-mstd0.5-inc1"; what it leaves out is as in timm: m10, n2, p0.5, no spread.
      fill: as in `RandAugment`.

    Raises:
      ConfigError: it is not in this notation, or lacks inc1.
    """
    word, *sections = notation.split("-")
    matches = [_SECTION.fullmatch(section) for section in sections]
    values = {match[1]: float(match[2]) for match in matches if match}
    if word != "rand" or len(values) < len(sections):
        raise ConfigError(f"{notation!r} is not understood", do="write it as in rand-m9-mstd0.5-inc1")
    values = {"m": 10.0, "mstd": 0.0, "n": 2.0, "p": 0.5, "inc": 0.0, **values}
    if values["inc"] != 1:
        raise ConfigError(f"{notation!r} is without inc1", do="add -inc1: the older operations are not offered")
    return RandAugment(
        magnitude=values["m"],
        magnitude_std=values["mstd"],
        num_operations=int(values["n"]),
        probability=values["p"],
        fill=fill,
    )


def mean_fill(pixel_mean: tuple[float, float, float]) -> tuple[int, int, int]:
    """Converts the mean colour of a data set, 0..1, to the fill that timm uses.

    >>> mean_fill((0.485, 0.456, 0.406))
    (124, 116, 104)
    """
    red, green, blue = (min(255, round(255 * mean)) for mean in pixel_mean)
    return red, green, blue


def drawn_level(magnitude: float, magnitude_std: float, *, key: int) -> float:
    """Draws a level from the normal distribution around the magnitude, cut to 0..10, or evenly from 0..magnitude.

    Source: timm 1.0.31, AugmentOp.__call__ and rand_augment_transform.
    """
    if magnitude_std == 0:
        return magnitude
    share = randomness.uniform(key, _LEVEL)
    if magnitude_std > _LARGEST_STD:
        return magnitude * share
    share += 2.0**-54  # never 0 or 1, where the distribution has no finite value
    return min(max(NormalDist(magnitude, magnitude_std).inv_cdf(share), 0.0), HIGHEST_LEVEL)


def _painted(image: Image.Image, strokes: Iterable[tuple[Operation, Stroke]]) -> Image.Image:
    """Applies operations one after the other."""
    for operation, stroke in strokes:
        image = operation(image, stroke)
    return image


def _mirrored(strokes: Iterable[tuple[Operation, Stroke]]) -> Iterator[tuple[Operation, Stroke]]:
    """Turns strokes into those that act on the mirror image."""
    return ((operation, replace(stroke, is_mirrored=True)) for operation, stroke in strokes)


def _stroke(level: float, *, fill: tuple[int, int, int], interpolation: RandomInterpolation, key: int) -> Stroke:
    """Draws direction and filter of an operation."""
    return Stroke(
        level=level,
        is_negative=randomness.uniform(key, _DIRECTION) >= 0.5,
        resample=images.FILTERS[drawn_interpolation(interpolation, key=key, draw=_FILTER)],
        fill=fill,
    )


def _check_look(
    kind: str, magnitude_std: float, *, fill: tuple[int, int, int], interpolation: RandomInterpolation
) -> None:
    """Checks the fields that both transforms have.

    Raises:
      ConfigError: the deviation is negative or not finite, the fill is not a colour, or the filter is unknown.
    """
    if not (math.isfinite(magnitude_std) and magnitude_std >= 0):
        raise ConfigError(f"{kind}.magnitude_std must be a finite number >= 0, got {magnitude_std}")
    if not all(0 <= value <= 255 for value in fill):
        raise ConfigError(f"{kind}.fill must be in 0..255, got {fill}")
    check_interpolation(interpolation, known=get_args(RandomInterpolation))
