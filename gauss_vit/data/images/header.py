"""Opens image files safely: known formats alone, limits by the header, and one kind of error for all damage.

Sizes are (height, width) in pixels.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from PIL import Image, ImageFile, UnidentifiedImageError

from gauss_vit.errors import DataError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
MAX_PIXELS = 50_000_000
LARGEST_MAX_PIXELS = 178_956_970
"""Pillow refuses images with more pixels."""
ORIENTATION_TAG = 0x0112
Result = TypeVar("Result")

_WITH_ORIENTATION = frozenset({"exif", "xmp", "Raw profile type exif"})
"""Blocks of a file that may say how it is turned; the last one is ImageMagick's, in PNG."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)
"""Orientations that exchange height and width."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a file says of its image before any pixel is decoded.

    Attributes:
      stored_size: size of the image as it is stored.
      orientation: number, in 1..8, that EXIF gives the turn that makes the stored pixels upright; 1 is none.
    """

    stored_size: tuple[int, int]
    orientation: int

    @property
    def size(self) -> tuple[int, int]:
        """Size of the upright image."""
        return self.stored_size[::-1] if self.orientation in _SIDEWAYS else self.stored_size


class LargeImageError(DataError):
    """An image has more pixels than the limit, by its header; `num_pixels` says how many, if that can be told."""

    default_code = "DATA-BOMB"

    def __init__(self, message: str, *, do: str, num_pixels: int | None):
        super().__init__(message, do=do)
        self.num_pixels = num_pixels

    @property
    def remedy_by_flag(self) -> str:
        """What to do for whoever has flags and no config."""
        can_raise = self.num_pixels is not None and self.num_pixels <= LARGEST_MAX_PIXELS
        return f"add --max_pixels={self.num_pixels}" if can_raise else self.do


def open_image(
    encoded: bytes,
    read: Callable[[ImageFile.ImageFile], Result],
    *,
    name: str,
    max_pixels: int = MAX_PIXELS,
    formats: tuple[str, ...] = FORMATS,
) -> Result:
    """Opens an image file and returns what a function reads from it.

    Args:
      encoded: bytes of the file.
      read: function of the opened image, whose pixels are not decoded yet; what it raises counts as damage.
      name: name in error messages: a path, or data set, split and record.
      max_pixels: larger images are refused.
      formats: formats of Pillow that are tried.

    Raises:
      DataError: DATA-DECODE, not a readable image of these formats; DATA-BOMB, more than max_pixels by its header.
    """
    try:
        opened = Image.open(io.BytesIO(encoded), formats=formats)
        opened.decodermaxblock = len(encoded)  # Read at once: a JPEG decoder that runs dry decodes pixels twice.
        num_pixels = opened.width * opened.height
        if num_pixels <= max_pixels:
            return read(opened)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise too_large(name, str(error), num_pixels=None, max_pixels=max_pixels) from error
    except UnidentifiedImageError as error:
        message = f"{name}: not an image in one of the formats {', '.join(formats)}"
        raise DataError(message, do="convert or remove it", code="DATA-DECODE") from error
    except Exception as error:  # Damaged files reach every corner of the parsers: SyntaxError and struct.error too.
        raise DataError(f"{name}: {error}", do="repair or remove it", code="DATA-DECODE") from error
    size = f"{opened.height} x {opened.width} px is {num_pixels / 1e6:.0f} Mpx"
    raise too_large(name, size, num_pixels=num_pixels, max_pixels=max_pixels)


def read_header(encoded: bytes, *, name: str, max_pixels: int = MAX_PIXELS) -> Header:
    """Reads the size of an image without decoding its pixels, whose damage is not seen.

    Raises:
      DataError: as for `open_image`.
    """
    return open_image(encoded, header_of, name=name, max_pixels=max_pixels)


def header_of(opened: Image.Image) -> Header:
    """Reads size and orientation; an image with broken EXIF, which is optional, is taken as it is stored."""
    try:
        # PNG's own getexif decodes all pixels first, and then fails at the start of a file.
        exif = Image.Image.getexif(opened) if opened.info.keys() & _WITH_ORIENTATION else {}
        orientation = exif.get(ORIENTATION_TAG, 1)
    except Exception:
        orientation = 1
    return Header(
        stored_size=(opened.height, opened.width), orientation=int(orientation) if orientation in _TURNS else 1
    )


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """Turns an image, or a mask of one, upright by the number that EXIF gives the turn, in 1..8."""
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def too_large(name: str, size: str, *, num_pixels: int | None, max_pixels: int) -> LargeImageError:
    """Returns the error for an image that is too large to decode.

    Args:
      name: name of the image in the message.
      size: what is known of its size, in words.
      num_pixels: number of its pixels, if it is known.
      max_pixels: the limit.
    """
    can_raise = num_pixels is not None and num_pixels <= LARGEST_MAX_PIXELS
    remedy = f"set data.max_pixels to {num_pixels} or more" if can_raise else "make it smaller or remove it"
    return LargeImageError(f"{name}: {size}, the limit is {max_pixels / 1e6:g} Mpx", do=remedy, num_pixels=num_pixels)
