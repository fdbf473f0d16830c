"""Resizes as OpenCV does, without antialiasing: what the recipes of dense tasks are trained and measured with.

A box of the resized image can be asked for alone, so that a crop costs no more than its own pixels. Results are those
of `cv2.resize` with 8-bit images, bit for bit, without its library.

Source: OpenCV 4, modules/imgproc/src/resize.cpp: `resizeNN`, `HResizeLinear`, `VResizeLinear`.
"""

import numpy as np
from jaxtyping import Int, Integer, UInt8

_WEIGHT_BITS = 11
_ROWS_AT_ONCE = 32
"""Few enough rows that their intermediate values stay in the cache of a core."""

YXYX = tuple[int, int, int, int]
"""(top, left, bottom, right) in pixels."""


def resize_bilinear(
    pixels: UInt8[np.ndarray, "height width 3"], *, size: tuple[int, int], yxyx: YXYX | None = None
) -> UInt8[np.ndarray, "new_height new_width 3"]:
    """Resizes an RGB image with INTER_LINEAR, between the four nearest pixels alone, whatever the sizes.

    Args:
      pixels: the image.
      size: (height, width) in pixels of the whole resized image.
      yxyx: the box of the resized image to compute; None is all of it.
    """
    top, left, bottom, right = yxyx or (0, 0, *size)
    rows, row_weights = _taps(pixels.shape[0], size[0], range(top, bottom))
    columns, column_weights = _taps(pixels.shape[1], size[1], range(left, right))
    used, rows = np.unique(rows, return_inverse=True)
    blended = _blend_columns(pixels[used], columns, column_weights)
    resized = np.empty((bottom - top, blended.shape[1]), np.uint8)
    for start in range(0, bottom - top, _ROWS_AT_ONCE):
        block = slice(start, start + _ROWS_AT_ONCE)
        resized[block] = _blend_rows(blended, rows.reshape(2, -1)[:, block], row_weights[:, block])
    return resized.reshape(bottom - top, right - left, 3)


def resize_nearest(
    values: Integer[np.ndarray, "height width"], *, size: tuple[int, int], yxyx: YXYX | None = None
) -> Integer[np.ndarray, "new_height new_width"]:
    """Resizes a mask with INTER_NEAREST, which takes the pixel under the top left corner of each new one.

    Args:
      values: the mask.
      size: (height, width) in pixels of the whole resized mask.
      yxyx: the box of the resized mask to compute; None is all of it.
    """
    top, left, bottom, right = yxyx or (0, 0, *size)
    rows = _corners(values.shape[0], size[0], range(top, bottom))
    columns = _corners(values.shape[1], size[1], range(left, right))
    return values[rows[:, None], columns]


def _blend_columns(
    pixels: UInt8[np.ndarray, "height width 3"],
    columns: Int[np.ndarray, "2 new_width"],
    weights: Int[np.ndarray, "2 new_width"],
) -> Int[np.ndarray, "height values"]:
    """Interpolates every row, to values of 7 more bits; those of a row follow each other, three for a pixel."""
    values = pixels.reshape(len(pixels), -1)
    places = (3 * columns[:, :, None] + np.arange(3)).reshape(2, -1)
    weights = np.repeat(weights, 3, axis=1)
    blended = np.take(values, places[0], axis=1) * weights[0]
    blended += np.take(values, places[1], axis=1) * weights[1]
    blended >>= 4
    return blended


def _blend_rows(
    blended: Int[np.ndarray, "height values"], rows: Int[np.ndarray, "2 rows"], weights: Int[np.ndarray, "2 rows"]
) -> Int[np.ndarray, "rows values"]:
    """Interpolates between rows, and rounds to whole levels."""
    upper, lower = (blended[rows[end]] for end in (0, 1))
    for part, weight in zip((upper, lower), weights, strict=True):
        part *= weight[:, None]
        part >>= 16
    upper += lower
    upper += 2
    upper >>= 2
    return upper


def _corners(old: int, new: int, span: range) -> Int[np.ndarray, " pixels"]:
    """The old pixels under the first edges of new ones, along one axis."""
    places = np.arange(span.start, span.stop) * _old_per_new(old, new)
    return np.minimum(places.astype(np.int64), old - 1)


def _taps(old: int, new: int, span: range) -> tuple[Int[np.ndarray, "2 pixels"], Int[np.ndarray, "2 pixels"]]:
    """The two old pixels around the centre of each new one along one axis, and their weights in units of 1 / 2048.

    Beyond the border the first and the last pixel continue.
    """
    centres = ((np.arange(span.start, span.stop) + 0.5) * _old_per_new(old, new) - 0.5).astype(np.float32)
    before = np.floor(centres)
    share = centres - before
    weights = np.rint(np.stack([1 - share, share]) * 2**_WEIGHT_BITS).astype(np.int32)
    indices = before.astype(np.int64) + np.arange(2)[:, None]
    return np.clip(indices, 0, old - 1), weights


def _old_per_new(old: int, new: int) -> float:
    """The size of a new pixel in old ones, rounded twice as OpenCV has it."""
    return 1 / (new / old)
