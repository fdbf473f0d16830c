"""Images on the host: safe decoding to RGB, and the resampling of timm and torchvision, with Pillow.

Sizes are (height, width) in pixels; boxes are Pillow's (left, top, right, bottom).
"""

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFile

from gauss_vit.data import randomness
from gauss_vit.data.file_reading import read_file
from gauss_vit.data.images import simple_jpeg
from gauss_vit.data.images.header import MAX_PIXELS, header_of, open_image, turned
from gauss_vit.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif")
NUM_CROP_TRIES = 10
BoxOf = Callable[[tuple[int, int]], tuple[int, int, int, int]]
FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def decode(encoded: bytes, *, name: str, max_pixels: int = MAX_PIXELS, box_of: BoxOf | None = None) -> Image.Image:
    """Decodes the upright RGB image in a JPEG, PNG, WebP or GIF file (its first frame).

    Grey, palette and CMYK images are converted; an alpha channel is dropped, as torchvision's loader does. EXIF
    orientation is applied, and a broken EXIF block counts as none.

    Args:
      encoded: bytes of the file.
      name: name in error messages: a path, or data set, split and record.
      max_pixels: larger images are refused.
      box_of: function from the (height, width) of the upright image to the box of it to return; None for all.

    Raises:
      DataError: DATA-DECODE, not a readable image of these formats; DATA-BOMB, more than max_pixels by its header.
    """
    image = _decode(encoded, name=name, max_pixels=max_pixels, box_of=box_of)
    return Image.fromarray(image) if isinstance(image, np.ndarray) else image


def decode_array(
    encoded: bytes, *, name: str, max_pixels: int = MAX_PIXELS, box_of: BoxOf
) -> UInt8[np.ndarray, "height width 3"]:
    """Decodes the pixels of a box as `decode` does, to an array, which may be a part of a larger one and read-only.

    Raises:
      DataError: as for `decode`.
    """
    return np.asarray(_decode(encoded, name=name, max_pixels=max_pixels, box_of=box_of), np.uint8)


def _decode(
    encoded: bytes, *, name: str, max_pixels: int, box_of: BoxOf | None
) -> Image.Image | UInt8[np.ndarray, "height width 3"]:
    """Decodes an image, or the box of it that is wanted, to the form that its decoder returns.

    Raises:
      DataError: DATA-DECODE or DATA-BOMB.
    """
    return open_image(encoded, lambda opened: _decoded(opened, encoded, box_of), name=name, max_pixels=max_pixels)


def _decoded(
    opened: ImageFile.ImageFile, encoded: bytes, box_of: BoxOf | None
) -> Image.Image | UInt8[np.ndarray, "height width 3"]:
    """The upright RGB image, or the box of it that is wanted, by the fastest way to the same pixels."""
    orientation = header_of(opened).orientation
    is_plain = opened.format == "JPEG" and opened.mode == "RGB" and orientation == 1
    pixels = simple_jpeg.decode_jpeg(encoded) if is_plain and box_of is not None else None
    if box_of is None or pixels is None or pixels.shape[:2] != (opened.height, opened.width):
        upright = turned(_to_rgb(opened), orientation)
        return upright if box_of is None else upright.crop(box_of((upright.height, upright.width)))
    left, top, right, bottom = box_of(pixels.shape[:2])
    return pixels[top:bottom, left:right]


def _to_rgb(opened: Image.Image) -> Image.Image:
    """Decodes the pixels; 16-bit grey keeps its upper byte, where Pillow's own conversion would clip it to white."""
    if opened.mode == "RGB":  # Conversion to the mode that it has already would copy the pixels.
        opened.load()
        return opened
    if opened.mode.startswith("I"):
        return Image.fromarray((np.asarray(opened) >> 8).astype(np.uint8)).convert("RGB")
    return opened.convert("RGB")


def to_array(image: Image.Image) -> UInt8[np.ndarray, "height width 3"]:
    """Copies the pixels of an RGB image to an array."""
    return np.array(image, dtype=np.uint8)


def resize(image: Image.Image, *, size: tuple[int, int], interpolation: Literal["bicubic", "bilinear"]) -> Image.Image:
    """Resizes with an antialiased filter; returns the image itself if it already has that size.

    Raises:
      ValueError: the result would have more than MAX_PIXELS, which only extreme proportions can cause.
    """
    height, width = size
    if height * width > MAX_PIXELS:
        raise ValueError(f"an image of {image.height} x {image.width} px would be resized to {height} x {width} px")
    if image.size == (width, height):
        return image
    return image.resize((width, height), resample=FILTERS[interpolation])


def stretched_size(size: tuple[int, int], *, crop_fraction: float) -> tuple[int, int]:
    """Computes the size to resize any image to, so that a central crop of `size` is that fraction of both sides.

    Source: timm 1.0.31, transforms_imagenet_eval with crop_mode "squash".
    """
    height, width = size
    return math.floor(height / crop_fraction), math.floor(width / crop_fraction)


def size_before_crop(image_size: tuple[int, int], *, size: tuple[int, int], crop_fraction: float) -> tuple[int, int]:
    """Computes the size to resize to, so that a central crop of `size` is that fraction of the image's tighter side.

    For a square crop the long side is rounded down, otherwise both sides to nearest: timm resizes with torchvision in
    the first case and on its own in the second.

    Args:
      image_size: size of the image.
      size: size of the crop.
      crop_fraction: share of the tighter side, in (0, 1].

    Source: timm 1.0.31, transforms_imagenet_eval with crop_mode "center".
    """
    height, width = image_size
    target_height, target_width = (math.floor(side / crop_fraction) for side in size)
    if target_height != target_width:
        shrink = min(height / target_height, width / target_width)
        return max(1, round(height / shrink)), max(1, round(width / shrink))
    if height <= width:
        return target_height, int(target_height * width / height)
    return int(target_width * height / width), target_width


def center_crop(image: Image.Image, *, size: tuple[int, int]) -> Image.Image:
    """Crops the middle of the image, with black where it is too small."""
    return image.crop(center_crop_box((image.height, image.width), size=size))


def center_crop_box(image_size: tuple[int, int], *, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Computes the central box of that size, which may reach beyond the image; odd margins as torchvision rounds them.

    Source: torchvision.transforms.CenterCrop, which pads small images (rounding down) before it crops (to nearest).
    """
    spare_top, spare_left = (max(side - own, 0) // 2 for own, side in zip(image_size, size, strict=True))
    top, left = (round(max(own - side, 0) / 2) for own, side in zip(image_size, size, strict=True))
    top, left = top - spare_top, left - spare_left
    return left, top, left + size[1], top + size[0]


def random_crop_box(
    image_size: tuple[int, int], *, scale: tuple[float, float], ratio: tuple[float, float], key: int
) -> tuple[int, int, int, int]:
    """Draws a box of random area and proportions inside the image.

    Area is uniform in `scale` times the image's, the logarithm of width / height is uniform in that of `ratio`. After
    ten draws that do not fit, the largest central box within `ratio` is taken.

    Args:
      image_size: size of the image.
      scale: smallest and largest share of the area.
      ratio: smallest and largest width / height.
      key: key of the random numbers.

    Source: torchvision.transforms.RandomResizedCrop.get_params.
    """
    image_height, image_width = image_size
    for attempt in range(NUM_CROP_TRIES):
        area_draw, ratio_draw = (randomness.uniform(key, 4 * attempt + draw) for draw in (0, 1))
        area = image_height * image_width * (scale[0] + (scale[1] - scale[0]) * area_draw)
        proportion = ratio[0] * (ratio[1] / ratio[0]) ** ratio_draw
        height, width = round(math.sqrt(area / proportion)), round(math.sqrt(area * proportion))
        if 0 < height <= image_height and 0 < width <= image_width:
            top = randomness.below(image_height - height + 1, key=key, draw=4 * attempt + 2)
            left = randomness.below(image_width - width + 1, key=key, draw=4 * attempt + 3)
            return left, top, left + width, top + height
    return _central_box(image_size, ratio)


def _central_box(image_size: tuple[int, int], ratio: tuple[float, float]) -> tuple[int, int, int, int]:
    """The largest central box whose width / height is within `ratio`, at least one pixel in each direction."""
    image_height, image_width = image_size
    height = min(image_height, max(1, round(image_width / ratio[0])))
    width = min(image_width, max(1, round(image_height * ratio[1])))
    top, left = (image_height - height) // 2, (image_width - width) // 2
    return left, top, left + width, top + height


def flip(image: Image.Image) -> Image.Image:
    """Flips horizontally."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def flip_array(pixels: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "height width 3"]:
    """Flips horizontally."""
    flipped = np.empty(pixels.shape, np.uint8)
    flipped.view("V3")[...] = pixels.view("V3")[:, ::-1]  # Three bytes at a time: twice as fast as one by one.
    return flipped


def shift(image: Image.Image, *, shift_yx: tuple[int, int], fill: int) -> Image.Image:
    """Moves the image down and right by whole pixels, at its own size; uncovered pixels take the grey level `fill`."""
    shifted = Image.new("RGB", image.size, (fill, fill, fill))
    shifted.paste(image, (shift_yx[1], shift_yx[0]))
    return shifted


def open_images(folder: Path) -> tuple[Path, ...]:
    """Finds the image files in a folder and the folders below it, in byte order of their paths on every machine.

    Hidden files and folders, and other suffixes, are left out; links to folders are not followed.

    Raises:
      DataError: DATA-EMPTY, there is no such folder or no image in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder", do="give a folder of images", code="DATA-EMPTY")
    paths = [path for path in visible_files(folder) if has_image_suffix(path)]
    if not paths:
        message = f"no images under {folder} (looked for {' '.join(SUFFIXES)})"
        raise DataError(message, do="give a folder of images", code="DATA-EMPTY")
    return tuple(paths)


def visible_files(folder: Path) -> list[Path]:
    """Lists the files in a folder and the folders below it that are not hidden, in byte order of their paths.

    Raises:
      DataError: DATA-EMPTY, a folder cannot be listed.
    """
    found = []
    for parent, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = _visible(folders)
        found += [Path(parent, name) for name in _visible(names)]
    return sorted(found, key=lambda path: os.fsencode(path.relative_to(folder)))


def has_image_suffix(path: Path) -> bool:
    """Returns whether a file is called like an image."""
    return path.name.lower().endswith(SUFFIXES)


def _visible(names: list[str]) -> list[str]:
    return [name for name in names if not name.startswith(".")]


def _refuse(error: OSError) -> None:
    message = f"{error.filename} cannot be listed: {error.strerror}"
    raise DataError(message, do="make the folder readable", code="DATA-EMPTY") from error


def load_image(path: Path, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Reads and decodes one image file.

    Raises:
      DataError: not a regular file (a pipe would block forever), unreadable, larger, or not an image.
    """
    return decode(read_file(path), name=str(path), max_pixels=max_pixels)
