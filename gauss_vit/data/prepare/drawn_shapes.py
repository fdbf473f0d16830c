"""Draws images of circles, squares and triangles with their outlines, and writes them in COCO's format.

A data set of objects that needs no download, for a laptop: `gauss-vit data prepare --name=drawn_shapes`. Every image is
a pure function of the seed, the split and its number. Objects are of many sizes, orientations and colours on grounds
with waves and noise; some cover others, whose masks are what can be seen of them.
"""

import json
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from gauss_vit.data import randomness
from gauss_vit.errors import storage_error
from gauss_vit.files import sync_tree

NAME = "drawn_shapes"
NUM_CORNERS: Mapping[str, int] = {"circle": 48, "square": 4, "triangle": 3}
"""Number of corners of the polygon that is drawn, by class."""

NUM_IMAGES: Mapping[str, int] = {"train": 1000, "val": 200}
SIDES, RADII, MOST_OBJECTS = (96, 128), (7.0, 32.0), 6
"""Smallest and largest side of an image and radius of an object in pixels, and the largest number of objects."""

_SMALLEST_VISIBLE_SHARE = 0.5
_NUM_TRIES = 20
_NOISE, _WAVES = 12.0, 18.0
_SMALLEST_CONTRAST = 48
_JPEG_QUALITY = 95
_GROUND, _OBJECTS = 1, 2


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A drawn object.

    Attributes:
      label: class index, in the order of `NUM_CORNERS`.
      corners: corners of its polygon, (x, y) in pixels from the upper left corner of the image.
      mask: what can be seen of it.
    """

    label: int
    corners: Float[np.ndarray, "corners 2"]
    mask: Bool[np.ndarray, "height width"]

    @property
    def visible_area(self) -> int:
        """Number of pixels that can be seen of it."""
        return int(self.mask.sum())

    @property
    def visible_share(self) -> float:
        """Share of it that can be seen: the rest is covered, or outside the image."""
        x, y = self.corners.T
        return self.visible_area / (abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)

    def to_coco(self) -> dict[str, Any]:
        """Writes what an annotation says of the shape itself: a polygon, or run lengths where it is cut or covered."""
        height, width = self.mask.shape
        rows, columns = (np.flatnonzero(self.mask.any(axis=axis)) for axis in (1, 0))
        top, left = int(rows[0]), int(columns[0])
        is_inside = np.all((self.corners >= 0) & (self.corners <= (width, height)))
        is_whole = is_inside and np.array_equal(self.mask, _filled(self.corners, (height, width)))
        runs = {"size": [height, width], "counts": _run_lengths(self.mask)}
        return {
            "category_id": self.label + 1,
            "bbox": [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top],
            "area": self.visible_area,
            "iscrowd": 0,
            "segmentation": [np.round(self.corners, 2).ravel().tolist()] if is_whole else runs,
        }


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """An image and the shapes in it.

    Attributes:
      pixels: colours, 0..255.
      shapes: from back to front; half of each or more can be seen.
    """

    pixels: UInt8[np.ndarray, "height width 3"]
    shapes: tuple[Shape, ...]


def draw(key: int) -> Drawing:
    """Draws an image of one to `MOST_OBJECTS` shapes; a shape that finds no place is left out."""
    lowest, highest = SIDES
    height, width = (lowest + randomness.below(highest - lowest + 1, key=key, draw=axis) for axis in range(2))
    ground_key = randomness.fold(key, _GROUND)
    base = np.asarray([float(randomness.below(256, key=ground_key, draw=channel)) for channel in range(3)])
    ground = _ground(base, (height, width), key=ground_key)
    pixels = ground.copy()
    shapes: tuple[Shape, ...] = ()
    for index in range(1 + randomness.below(MOST_OBJECTS, key=key, draw=2)):
        for attempt in range(_NUM_TRIES):
            shape_key = randomness.fold(key, _OBJECTS, index, attempt)
            shape = _shape((height, width), key=shape_key)
            stacked = _stacked(shapes, shape)
            if all(each.visible_share >= _SMALLEST_VISIBLE_SHARE for each in stacked):
                pixels[shape.mask] = ground[shape.mask] + _colour(base, key=shape_key) - base
                shapes = stacked
                break
    return Drawing(pixels=np.clip(np.round(pixels), 0, 255).astype(np.uint8), shapes=shapes)


def write(folder: Path, *, seed: int = 0, num_images: Mapping[str, int] = NUM_IMAGES) -> Path:
    """Writes the splits below a folder in COCO's layout: `annotations/instances_SPLIT.json` and `SPLIT/NUMBER.jpg`.

    Args:
      folder: the folder to make; it does not exist.
      seed: other seeds give other images.
      num_images: number of images of each split.

    Raises:
      StorageError: the folder cannot be written; nothing is left behind.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as aside:
            finished = Path(aside, folder.name)
            for place, (split, number) in enumerate(num_images.items()):
                drawings = (draw(randomness.fold(seed, place, index)) for index in range(number))
                _write_split(finished, split, drawings)
            sync_tree(finished)
            finished.rename(folder)
    except OSError as error:
        raise storage_error(error, f"{folder} cannot be written") from error
    return folder


def _write_split(folder: Path, split: str, drawings: Iterator[Drawing]) -> None:
    """Writes the images of a split as JPEG files, then their annotations."""
    (folder / split).mkdir(parents=True)
    (folder / "annotations").mkdir(exist_ok=True)
    entries, annotations = [], []
    for number, drawing in enumerate(drawings, 1):
        name = f"{number:06d}.jpg"
        Image.fromarray(drawing.pixels).save(folder / split / name, quality=_JPEG_QUALITY)
        height, width, _ = drawing.pixels.shape
        entries.append({"id": number, "file_name": name, "height": height, "width": width})
        annotations += [{"image_id": number, **shape.to_coco()} for shape in drawing.shapes]
    numbered = [{"id": number, **annotation} for number, annotation in enumerate(annotations, 1)]
    categories = [{"id": number, "name": name} for number, name in enumerate(NUM_CORNERS, 1)]
    content = {"images": entries, "categories": categories, "annotations": numbered}
    (folder / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))


def _shape(size: tuple[int, int], *, key: int) -> Shape:
    """Draws a regular polygon anywhere in an image of that (height, width)."""
    label = randomness.below(len(NUM_CORNERS), key=key, draw=0)
    count = tuple(NUM_CORNERS.values())[label]
    smallest, largest = RADII
    radius = smallest * (largest / smallest) ** randomness.uniform(key, 1)
    centre = [side * randomness.uniform(key, 2 + axis) for axis, side in enumerate(reversed(size))]
    turn = randomness.uniform(key, 4)
    angles = 2 * math.pi * (np.arange(count) + turn) / count
    corners = np.asarray(centre) + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return Shape(label=label, corners=corners, mask=_filled(corners, size))


def _filled(corners: Float[np.ndarray, "corners 2"], size: tuple[int, int]) -> Bool[np.ndarray, "height width"]:
    """Fills a convex polygon: the pixels whose centres are on the inner side of every edge."""
    y, x = (np.arange(side) + 0.5 for side in size)
    mask = np.ones(size, np.bool_)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        mask &= (x1 - x0) * (y[:, None] - y0) >= (y1 - y0) * (x[None, :] - x0)
    return mask


def _stacked(shapes: Sequence[Shape], front: Shape) -> tuple[Shape, ...]:
    """Puts a shape in front of others."""
    return (*(replace(shape, mask=shape.mask & ~front.mask) for shape in shapes), front)


def _ground(base: Float[np.ndarray, "3"], size: tuple[int, int], *, key: int) -> Float[np.ndarray, "height width 3"]:
    """Draws a ground of one colour with a wave in each channel, and noise over everything."""
    height, width = size
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    channels = []
    for channel in range(3):
        direction, pitch, phase = (randomness.uniform(key, 3 + 3 * channel + draw) for draw in range(3))
        along = rows * math.sin(math.pi * direction) + columns * math.cos(math.pi * direction)
        channels.append(base[channel] + _WAVES * np.sin(2 * math.pi * (along / (6 + 30 * pitch) + phase)))
    counter = np.arange(height * width * 3, dtype=np.uint64)
    noise = (randomness.fold_all(randomness.fold(key), counter) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return np.stack(channels, axis=-1) + _NOISE * (2 * noise.reshape(height, width, 3) - 1)


def _colour(base: Float[np.ndarray, "3"], *, key: int) -> Float[np.ndarray, "3"]:
    """Draws a colour that differs from the ground's in every channel."""
    room = 256 - 2 * _SMALLEST_CONTRAST
    shifts = [_SMALLEST_CONTRAST + randomness.below(room, key=key, draw=5 + channel) for channel in range(3)]
    return (base + shifts) % 256.0


def _run_lengths(mask: Bool[np.ndarray, "height width"]) -> list[int]:
    """Counts the pixels outside and inside by turns, column by column; the first number is outside."""
    flat = mask.T.ravel()
    changes = np.flatnonzero(np.diff(flat, prepend=False))
    return np.diff([0, *changes, flat.size]).tolist()
