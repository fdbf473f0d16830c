"""The pictures of predictions: areas and boxes drawn over the photo, and an index mask that other programs read."""

import dataclasses
import io
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from gauss_vit.inspect.result_files import suffixed, write_bytes
from gauss_vit.plots.canvas import encode
from gauss_vit.plots.overlay import overlay_figure
from gauss_vit.tasks.label_map import LabelMap

_MOST_DRAWN = 1600
"""Larger photos are drawn smaller: an overlay is to be looked at, the mask keeps every pixel."""


def picture_names(paths: Sequence[Path]) -> dict[Path, str]:
    """Names the pictures of each image after its file, without the suffix; equal names are numbered.

    >>> list(picture_names([Path("a/1.jpg"), Path("b/1.jpg"), Path("b/2.png")]).values())
    ['1', '1-2', '2']
    """
    names: dict[str, Path] = {}
    for path in paths:
        numbered = (path.stem if number == 1 else f"{path.stem}-{number}" for number in itertools.count(1))
        names[next(name for name in numbered if name not in names)] = path
    return {path: name for name, path in names.items()}


def write_pictures(out: Path, name: str, *, photo: Image.Image, label_map: LabelMap) -> Mapping[str, str]:
    """Writes NAME_overlay.png and NAME_mask.png.

    The mask has the photo's size and the index of a label in each pixel, in a palette of the labels' colours; 255 is no
    label.

    Args:
      out: folder.
      name: name of the image in the names of the files.
      photo: the image.
      label_map: labels of its pixels.

    Returns:
      The paths of both files, by "overlay" and "mask".

    Raises:
      StorageError: a file cannot be written.
    """
    overlay, mask = (suffixed(out / f"{name}_{kind}", "png") for kind in ("overlay", "mask"))
    write_bytes(mask, index_mask(label_map))
    image, drawn = _reduced(photo, label_map)
    write_bytes(overlay, encode(overlay_figure(np.asarray(image), drawn), "png"))
    return {"overlay": str(overlay), "mask": str(mask)}


def index_mask(label_map: LabelMap) -> bytes:
    """Encodes a label map as a PNG of palette type, whose values are the indices."""
    file = io.BytesIO()
    image = Image.fromarray(label_map.values, mode="P")
    parts = [part for label in label_map.labels for part in label.colour]
    # With fewer colours Pillow would write fewer bits for each pixel, and 255 would become another index.
    image.putpalette(parts + [0] * (3 * 256 - len(parts)))
    image.save(file, format="PNG")
    return file.getvalue()


def _reduced(photo: Image.Image, label_map: LabelMap) -> tuple[Image.Image, LabelMap]:
    """Makes a large photo and its labels smaller by the same whole number."""
    step = -(-max(photo.size) // _MOST_DRAWN)
    if step == 1:
        return photo, label_map
    boxes = tuple(
        dataclasses.replace(box, yxyx=(box.yxyx[0] / step, box.yxyx[1] / step, box.yxyx[2] / step, box.yxyx[3] / step))
        for box in label_map.boxes
    )
    return photo.reduce(step), LabelMap(values=label_map.values[::step, ::step], labels=label_map.labels, boxes=boxes)
