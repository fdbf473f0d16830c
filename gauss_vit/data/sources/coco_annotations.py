"""Reads annotation files in COCO's format for instances into columns: 118,000 images and 860,000 objects in 0.5 GB.

A file that is damaged or contradicts itself is refused by one line. What is merely useless is kept, and told apart by
`flaws`: what is learned from leaves it out, what is measured does not.
"""

from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Bool, Float, Int

from gauss_vit.data.sources.coco_outlines import OutlineTable, OutlineWriter
from gauss_vit.data.sources.json_arrays import read_arrays
from gauss_vit.errors import DataError

LARGEST_FILE = 2 * 2**30
"""Limit of an annotation file in bytes. COCO's own has 470 MB."""

NO_CLASS = -1
_LARGEST_SIDE = 2**16
_LARGEST_IMAGE_ID = 2**31 - 1
_SMALLEST_SIDE = 1.0
_LARGEST_NUMBER = 2.0**53
Record = Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class Annotations:
    """Images, classes and objects, as a file of annotations lists them.

    Attributes:
      name: what they are read from, such as the name of the file.
      class_names: one name for each class index; the classes are in the order of their ids.
      class_ids: int64 [classes], the ids of the classes in the file.
      file_names: for each image its file, relative to the folder of images.
      image_ids: int64 [images], the ids of the images in the file.
      sizes: int64 [images, 2], the (height, width) of each image in pixels.
      ids: int64 [annotations], in the order of the file, as are the following.
      image: int64 [annotations], the index of each annotation's image.
      label: int64 [annotations], class indices; `NO_CLASS` where the file does not list the class.
      xywh: float64 [annotations, 4], boxes (x, y, width, height) in pixels as they are in the file.
      area: float64 [annotations], the areas in square pixels that the file gives; those of the boxes where it does not.
      is_crowd: bool [annotations], whether it is of many objects together.
      outlines: their masks.
    """

    name: str
    class_names: tuple[str, ...]
    class_ids: Int[np.ndarray, " classes"]
    file_names: tuple[str, ...]
    image_ids: Int[np.ndarray, " images"]
    sizes: Int[np.ndarray, "images 2"]
    ids: Int[np.ndarray, " annotations"]
    image: Int[np.ndarray, " annotations"]
    label: Int[np.ndarray, " annotations"]
    xywh: Float[np.ndarray, "annotations 4"]
    area: Float[np.ndarray, " annotations"]
    is_crowd: Bool[np.ndarray, " annotations"]
    outlines: OutlineTable

    def flaws(self) -> dict[str, Bool[np.ndarray, " annotations"]]:
        """Tells which annotations nothing is learned from, and why; one may have several flaws.

        Source: MMDetection, `CocoDataset.parse_data_info`.
        """
        x, y, width, height = self.xywh.T
        image_height, image_width = self.sizes[self.image].T
        inner_width = np.minimum(x + width, image_width) - np.maximum(x, 0)
        inner_height = np.minimum(y + height, image_height) - np.maximum(y, 0)
        return {
            "of a class that the file does not list": self.label == NO_CLASS,
            "without area": self.area <= 0,
            "less than a pixel wide or high": (width < _SMALLEST_SIDE) | (height < _SMALLEST_SIDE),
            "outside their image": (inner_width <= 0) | (inner_height <= 0),
        }


def read_annotations(path: Path) -> Annotations:
    """Reads an annotation file, piece by piece.

    Required are `images` (`id`, `file_name`, `height`, `width`), `categories` (`id`, `name`) and `annotations` (`id`,
    `image_id`, `category_id`, `bbox`), whose `iscrowd` is 0 where it is missing, `area` that of the box, and
    `segmentation` none. Everything else is passed over.

    Raises:
      DataError: DATA-ANN, the file cannot be read, is too large, is not such JSON, or contradicts itself.
    """
    writer = AnnotationWriter()
    missing = {"images", "categories", "annotations"}
    try:
        num_bytes = path.stat().st_size
        if num_bytes > LARGEST_FILE:
            raise ValueError(f"it has {num_bytes / 2**30:.1f} GiB, the limit is {LARGEST_FILE / 2**30:g} GiB")
        for key, elements in read_arrays(path):
            missing.discard(key)
            for element in elements:
                writer.add(key, element)
        if missing:
            raise ValueError(f"it has no array {' or '.join(sorted(missing))}")
        return writer.finish(path.name)
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}"
        raise DataError(message, do="restore it", code="DATA-ANN") from error
    except ValueError as error:
        raise DataError(f"{path}: {error}", do="correct the file or write it again", code="DATA-ANN") from error


class AnnotationWriter:
    """Collects what a file of annotations lists, in any order."""

    def __init__(self) -> None:
        self._images, self._classes, self._objects = _Images(), _Classes(), _Objects()
        self._add: dict[str, Callable[[Record], None]] = {
            "images": self._images.add,
            "categories": self._classes.add,
            "annotations": self._objects.add,
        }

    def add(self, key: str, element: object) -> None:
        """Adds an element of `images`, `categories` or `annotations`; those of other arrays are passed over.

        Raises:
          ValueError: a value is missing or impossible.
        """
        if key in self._add:
            self._add[key](_object(element, key))

    def finish(self, name: str) -> Annotations:
        """Returns what was collected; `name` says what it was read from.

        Raises:
          ValueError: it contradicts itself.
        """
        return _joined(name, self._images, self._classes, self._objects)


@dataclass(frozen=True)
class _Images:
    """Columns of images."""

    ids: array = field(default_factory=lambda: array("q"))
    sizes: array = field(default_factory=lambda: array("q"))
    file_names: list[str] = field(default_factory=list)

    def add(self, record: Record) -> None:
        """Adds an image.

        Raises:
          ValueError: a value is missing or impossible.
        """
        name = _named("image", record)
        number = _integer(record, "id", name)
        if not 0 <= number <= _LARGEST_IMAGE_ID:
            raise ValueError(f"{name} has an id beyond 0..{_LARGEST_IMAGE_ID}")
        self.ids.append(number)
        file_name = record.get("file_name")
        if not isinstance(file_name, str) or not file_name:
            raise ValueError(f"{name} has no file_name")
        if PurePosixPath(file_name).is_absolute() or ".." in PurePosixPath(file_name).parts or "\0" in file_name:
            raise ValueError(f"{name} has the file_name {file_name!r}, which leaves the folder of images")
        self.file_names.append(file_name)
        for key in ("height", "width"):
            side = _integer(record, key, name)
            if not 0 < side <= _LARGEST_SIDE:
                raise ValueError(f"{name} has the {key} {side}")
            self.sizes.append(side)


@dataclass(frozen=True)
class _Classes:
    """Names of classes by their ids."""

    names: dict[int, str] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Adds a class.

        Raises:
          ValueError: it has no id or name, or the id of another one.
        """
        name = _named("category", record)
        number, text = _integer(record, "id", name), record.get("name")
        if not isinstance(text, str) or not text:
            raise ValueError(f"{name} has no name")
        if number in self.names:
            raise ValueError(f"two categories have the id {number}")
        self.names[number] = text


@dataclass(frozen=True)
class _Objects:
    """Columns of annotations."""

    ids: array = field(default_factory=lambda: array("q"))
    image_ids: array = field(default_factory=lambda: array("q"))
    class_ids: array = field(default_factory=lambda: array("q"))
    xywh: array = field(default_factory=lambda: array("d"))
    areas: array = field(default_factory=lambda: array("d"))
    crowds: array = field(default_factory=lambda: array("b"))
    outlines: OutlineWriter = field(default_factory=OutlineWriter)

    def add(self, record: Record) -> None:
        """Adds an annotation.

        Raises:
          ValueError: a value is missing or impossible.
        """
        name = _named("annotation", record)
        self.ids.append(_integer(record, "id", name))
        self.image_ids.append(_integer(record, "image_id", name))
        self.class_ids.append(_integer(record, "category_id", name))
        self.crowds.append(_integer(record, "iscrowd", name, default=0) != 0)
        box = record.get("bbox")
        if not isinstance(box, list) or len(box) != 4 or not all(map(_is_finite, box)):
            raise ValueError(f"{name} has the bbox {_short(box)}, which is not four numbers x, y, width, height")
        self.xywh.extend(box)
        area = record.get("area", box[2] * box[3])
        if not _is_finite(area):
            raise ValueError(f"{name} has the area {_short(area)}")
        self.areas.append(area)
        try:
            self.outlines.add(record.get("segmentation"))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error


def _joined(name: str, images: _Images, classes: _Classes, objects: _Objects) -> Annotations:
    """Puts the columns together.

    Raises:
      ValueError: an id is not unique, an annotation's image is not listed, or its mask is not of the image's size.
    """
    ids, image_ids = np.frombuffer(objects.ids, np.int64), np.frombuffer(images.ids, np.int64)
    for kind, numbers in (("images", image_ids), ("annotations", ids)):
        if (repeated := _repeated(numbers)) is not None:
            raise ValueError(f"two {kind} have the id {repeated}")
    image = _places(np.frombuffer(objects.image_ids, np.int64), image_ids)
    if (image < 0).any():
        place = int(np.flatnonzero(image < 0)[0])
        raise ValueError(f"annotation {ids[place]} is of the image {objects.image_ids[place]}, which is not listed")
    class_ids = np.asarray(sorted(classes.names), np.int64)
    sizes = np.frombuffer(images.sizes, np.int64).reshape(-1, 2)
    outlines = objects.outlines.finish()
    if (fault := outlines.faulty(sizes[image])) is not None:
        raise ValueError(f"annotation {ids[fault[0]]}: {fault[1]}")
    return Annotations(
        name=name,
        class_names=tuple(classes.names[number] for number in class_ids.tolist()),
        class_ids=class_ids,
        file_names=tuple(images.file_names),
        image_ids=image_ids,
        sizes=sizes,
        ids=ids,
        image=image,
        label=_places(np.frombuffer(objects.class_ids, np.int64), class_ids),
        xywh=np.frombuffer(objects.xywh, np.float64).reshape(-1, 4),
        area=np.frombuffer(objects.areas, np.float64),
        is_crowd=np.frombuffer(objects.crowds, np.int8) != 0,
        outlines=outlines,
    )


def _places(numbers: Int[np.ndarray, " numbers"], known: Int[np.ndarray, " known"]) -> Int[np.ndarray, " numbers"]:
    """Finds the index of each number among known ones that differ; -1 where it is none of them."""
    if not known.size:
        return np.full(numbers.shape, -1, np.int64)
    order = np.argsort(known)
    found = order[np.minimum(np.searchsorted(known[order], numbers), known.size - 1)]
    return np.where(known[found] == numbers, found, -1)


def _repeated(numbers: Int[np.ndarray, " numbers"]) -> int | None:
    """The smallest number that occurs more than once."""
    ordered = np.sort(numbers)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    return int(twice[0]) if twice.size else None


def _object(element: object, key: str) -> Record:
    if isinstance(element, dict):
        return element
    raise ValueError(f"an element of {key} is {_short(element)}, not an object")


def _integer(record: Record, key: str, name: str, *, default: int | None = None) -> int:
    """Reads an integer of 64 bits; false and true are 0 and 1.

    Raises:
      ValueError: it is missing or something else.
    """
    value = record.get(key, default)
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return int(value)
    found = "no" if value is None else f"{_short(value)} as"
    raise ValueError(f"{name} has {found} {key}, which must be an integer")


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) <= _LARGEST_NUMBER


def _named(kind: str, record: Record) -> str:
    return f"{kind} {_short(record['id'])}" if "id" in record else f"a {kind} without id"


def _short(value: object, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[:limit] + "..."
