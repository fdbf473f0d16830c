"""Outlines of objects as COCO writes them, polygons or run lengths, and the bitmaps that they stand for.

pycocotools draws polygons, as the recipes and the evaluation do; it is imported when the first one is drawn.
"""

import importlib
from dataclasses import dataclass
from types import ModuleType

import jax
import numpy as np
from jaxtyping import Bool, Float, Int, PyTree

from gauss_vit.errors import ConfigError

_MORE, _SIGN, _BITS = 0x20, 0x10, 5
_FIRST_CHARACTER = 48


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Polygons:
    """An object as the union of polygons.

    Attributes:
      points: for each polygon its corners one after the other, float64 [2 corners], (x, y) in pixels.
    """

    points: tuple[PyTree, ...]

    def bitmap(self, size: tuple[int, int]) -> Bool[np.ndarray, "height width"]:
        """Draws the object into an image of that (height, width), as pycocotools does.

        Raises:
          ConfigError: pycocotools is not installed.
        """
        height, width = size
        library = import_masks()
        parts = library.frPyObjects([points.tolist() for points in self.points], height, width)
        return library.decode(library.merge(parts)).astype(np.bool_)

    def to_coco(self, size: tuple[int, int]) -> list[list[float]]:
        """Writes the value of an annotation's `segmentation`."""
        del size
        return [points.tolist() for points in self.points]


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Runs:
    """An object as run lengths, outside and inside by turns, column by column.

    Attributes:
      lengths: uint32 [runs], numbers of pixels, whose sum is that of the image; the first is outside.
    """

    lengths: PyTree

    def bitmap(self, size: tuple[int, int]) -> Bool[np.ndarray, "height width"]:
        """Draws the object into an image of that (height, width)."""
        height, width = size
        is_inside = np.arange(len(self.lengths)) % 2 == 1
        return np.repeat(is_inside, self.lengths).reshape(width, height).T

    def to_coco(self, size: tuple[int, int]) -> dict[str, list[int]]:
        """Writes the value of an annotation's `segmentation` in an image of that (height, width)."""
        return {"size": list(size), "counts": self.lengths.tolist()}


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Segment:
    """An object as the pixels of a mask that hold its number.

    Attributes:
      values: integers [height, width], the numbers of the segments of an image.
      number: int32, that of the object.
    """

    values: PyTree
    number: PyTree

    def bitmap(self, size: tuple[int, int]) -> Bool[np.ndarray, "height width"]:
        """Returns the pixels of the object in its image, of that (height, width)."""
        del size
        return self.values == self.number

    def to_coco(self, size: tuple[int, int]) -> dict[str, object]:
        """Writes the value of an annotation's `segmentation`, compressed run lengths.

        Raises:
          ConfigError: pycocotools is not installed.
        """
        encoded = import_masks().encode(np.asfortranarray(self.bitmap(size), np.uint8))
        return {"size": list(size), "counts": encoded["counts"].decode("ascii")}


Outline = Polygons | Runs | Segment


def rectangle(yxyx: Float[np.ndarray, "4"]) -> Polygons:
    """Returns the outline of a box (y0, x0, y1, x1)."""
    y0, x0, y1, x1 = yxyx.tolist()
    return Polygons(points=(np.asarray([x0, y0, x1, y0, x1, y1, x0, y1], np.float64),))


def decoded_runs(text: str) -> Int[np.ndarray, " runs"]:
    """Decodes COCO's compressed run lengths, which are differences to the last but one in groups of five bits.

    Args:
      text: `counts` of a compressed segmentation.

    Raises:
      ValueError: it has another character than 0..o, or ends within a number.

    >>> decoded_runs("52203")
    array([5, 2, 2, 2, 5])

    Source: pycocotools, maskApi.c: `rleFrString`.
    """
    values = np.frombuffer(text.encode("latin-1", errors="replace"), np.uint8).astype(np.int64) - _FIRST_CHARACTER
    if not values.size:
        return values
    if not ((values >= 0) & (values < 2 * _MORE)).all() or values[-1] & _MORE:
        raise ValueError("its counts are no compressed run lengths")
    lasts = np.flatnonzero(values & _MORE == 0)
    firsts = np.concatenate([[0], lasts[:-1] + 1])
    num_digits = lasts - firsts + 1
    if num_digits.max() * _BITS > np.iinfo(np.int64).bits - 1:
        raise ValueError("a number of its counts is too large")
    places = np.arange(values.size) - np.repeat(firsts, num_digits)
    numbers = np.add.reduceat((values & (_MORE - 1)) << (_BITS * places), firsts)
    numbers -= np.where(values[lasts] & _SIGN, 1 << (_BITS * num_digits), 0)
    runs = numbers.copy()
    runs[1::2] = np.cumsum(numbers[1::2])
    runs[2::2] = np.cumsum(numbers[2::2])
    return runs


def import_masks() -> ModuleType:
    """Imports pycocotools' module of masks.

    Raises:
      ConfigError: pycocotools is not installed.
    """
    try:
        return importlib.import_module("pycocotools.mask")
    except ModuleNotFoundError as error:
        message = "the masks of COCO need the package pycocotools, which is not installed"
        raise ConfigError(message, do="pip install 'gauss_vit[coco]'") from error
