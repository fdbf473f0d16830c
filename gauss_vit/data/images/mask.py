"""Masks in PNG files: what they store for each pixel, beside which image, and the classes that this stands for.

A mask stores indices (grey levels of 8 or 16 bits, one bit, or the indices of a palette, whose colours say nothing) or
colours. Nothing is guessed: where a reader could change values without a word, such as by scaling grey levels of two
or four bits, the file is refused.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Integer, UInt8
from PIL import Image, ImageFile

from gauss_vit.data.images.header import MAX_PIXELS, Header, open_image, turned
from gauss_vit.errors import DataError
from gauss_vit.palette import Color

Values = Integer[np.ndarray, "height width"]

_BEGINNING = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
"""What every PNG file begins with; width and height follow, then bit depth and colour type."""
_BIT_DEPTH, _COLOR_TYPE = 24, 25
_GREY = 0
_OPAQUE = 255
_PACKING = np.asarray((1, 256, 65536), np.int32)
_GREY_STEP = int(_PACKING.sum())


@dataclass(frozen=True, kw_only=True)
class StoredMask:
    """What a file stores for each pixel.

    Attributes:
      values: indices, or colours as `packed` numbers.
      is_color: whether they are colours.
    """

    values: Values
    is_color: bool

    def grey_levels(self) -> Values | None:
        """Returns the grey levels of a mask in colours; None if it is not grey everywhere."""
        levels, rest = np.divmod(self.values, _GREY_STEP)
        return None if rest.any() else levels


def packed(color: Color) -> int:
    """Returns a colour as one number, as COCO numbers the segments of panoptic masks.

    >>> packed((3, 2, 1))
    66051
    """
    return int(np.asarray(color, np.int32) @ _PACKING)


def unpacked(number: int) -> Color:
    """Returns the colour of a number; the inverse of `packed`."""
    return number % 256, number // 256 % 256, number // 65536


def decode_mask(encoded: bytes, *, name: str, max_pixels: int = MAX_PIXELS) -> StoredMask:
    """Decodes the mask in a PNG file, as it is stored.

    Args:
      encoded: bytes of the file.
      name: name in error messages.
      max_pixels: larger masks are refused by their header.

    Raises:
      DataError: DATA-DECODE, not a readable PNG file; DATA-BOMB, more than max_pixels; DATA-MASK, it has grey levels
        of two or four bits, colours of sixteen, or transparent pixels.
    """
    if not encoded.startswith(_BEGINNING):
        message = f"{name}: not a PNG file; other formats may blend the indices of a mask"
        raise DataError(message, do="write the mask again as PNG, from where it was drawn", code="DATA-DECODE")
    decoded = open_image(encoded, _decoded, name=name, max_pixels=max_pixels, formats=("PNG",))
    reason = _unreadable(decoded, bit_depth=encoded[_BIT_DEPTH], is_grey=encoded[_COLOR_TYPE] == _GREY)
    if reason:
        raise DataError(f"{name}: {reason}", do="write it with 8 bits and without transparency", code="DATA-MASK")
    if decoded.ndim == 3 and decoded.shape[2] >= 3:
        return StoredMask(values=decoded[..., :3].astype(np.int32) @ _PACKING, is_color=True)
    indices = decoded if decoded.ndim == 2 else decoded[..., 0]
    return StoredMask(values=indices.astype(np.uint8) if indices.dtype == np.bool_ else indices, is_color=False)


def classes_of(
    values: Values, class_of: Mapping[int, int], *, name: str, shown: Callable[[int], str]
) -> UInt8[np.ndarray, "height width"]:
    """Replaces stored values by class indices.

    Args:
      values: what a mask stores.
      class_of: class index, or `IGNORED`, by stored value.
      name: name of the mask in error messages.
      shown: writes a value for a message, such as "the value 151".

    Raises:
      DataError: DATA-LABEL, a value stands for no class.
    """
    flat = values.ravel()
    # Masks are made of runs of equal values, which are far fewer to sort and to look up than pixels.
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    found, value_of_run = np.unique(flat[starts], return_inverse=True)
    unknown = [value for value in found.tolist() if value not in class_of]
    if unknown:
        more = f" (and {len(unknown) - 1:,} more)" if len(unknown) > 1 else ""
        num_pixels = int(np.isin(values, unknown).sum())
        message = f"{name}: {shown(unknown[0])}{more} stands for no class; number of such pixels: {num_pixels:,}"
        raise DataError(message, do="correct the mask or the list of classes", code="DATA-LABEL")
    classes = np.asarray([class_of[value] for value in found.tolist()], np.uint8)
    return np.repeat(classes[value_of_run], np.diff(starts, append=flat.size)).reshape(values.shape)


def upright_mask(mask: Values, image: Header, *, name: str) -> Integer[np.ndarray, "image_height image_width"]:
    """Turns a mask as the image beside it is turned, if it was drawn before that.

    Its size tells: a mask of the upright image's size is upright, and one of the stored image's size is turned with it.
    Where both sizes are equal (a square, or a turn by 180 degrees) a mask is upright: programs show images upright to
    those who draw.

    Args:
      mask: class indices or numbers of segments as they are stored.
      image: header of the image.
      name: name of the mask in error messages.

    Raises:
      DataError: DATA-MASK, it has neither size.
    """
    if mask.shape == image.size:
        return mask
    if mask.shape == image.stored_size:
        return np.asarray(turned(Image.fromarray(mask), image.orientation))
    (mask_height, mask_width), (height, width) = mask.shape, image.size
    message = f"{name}: the mask is {mask_height} x {mask_width} px, the image is {height} x {width} px"
    raise DataError(message, do="remove the example, or give it a mask of its size", code="DATA-MASK")


def _decoded(opened: ImageFile.ImageFile) -> np.ndarray:
    opened.load()
    return np.asarray(opened)


def _unreadable(decoded: np.ndarray, *, bit_depth: int, is_grey: bool) -> str:
    """Says why decoded values are not those of the file; empty if they are."""
    if is_grey and bit_depth in (2, 4):
        return f"its grey levels have {bit_depth} bits, which readers scale to 0..255"
    if not is_grey and bit_depth == 16:
        return "its colours have 16 bits"
    if decoded.ndim == 3 and decoded.shape[2] in (2, 4) and (decoded[..., -1] != _OPAQUE).any():
        return "it has transparent pixels"
    return ""
