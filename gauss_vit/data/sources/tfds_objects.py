"""The things of panoptic records of TFDS as objects: what they list is read at once, their masks when they are needed.

Listing the objects takes about a millisecond a record, for the whole record is read: two minutes for COCO's 118,287.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from gauss_vit.batches import ObjectTargets, no_objects
from gauss_vit.data.examples import Source
from gauss_vit.data.images.header import read_header
from gauss_vit.data.images.mask import decode_mask, upright_mask
from gauss_vit.data.images.outlines import Outline, Segment, import_masks
from gauss_vit.data.sources.coco_annotations import Annotations, AnnotationWriter
from gauss_vit.data.sources.coco_selection import select
from gauss_vit.data.sources.coco_source import CocoSource, digest_of
from gauss_vit.errors import DataError
from gauss_vit.files import FileSet
from gauss_vit.palette import Palette, generated_palette

LAST_THING = "toothbrush"
"""The class after which those of stuff begin; things come first, in the order of COCO's 80."""

_LISTED = "panoptic_objects"
_MASK = "panoptic_image"
OBJECT_FEATURES = frozenset({"image", "image/id", "image/filename", _MASK, _LISTED})
"""What records have that list objects."""


@dataclass(frozen=True, kw_only=True)
class ListedSegments:
    """What a panoptic record holds beside its image, with the mask not yet decoded.

    Attributes:
      image: as `AnnotationWriter.add` takes an element of `images`.
      annotations: elements of `annotations` without ids of their own, things alone.
      numbers: the number of each of them in the mask.
      mask: bytes of the mask.
    """

    image: Mapping[str, object]
    annotations: Sequence[Mapping[str, object]]
    numbers: tuple[int, ...]
    mask: bytes


@dataclass(frozen=True, kw_only=True)
class SegmentReader:
    """Lists the things of a record; crowds are among them.

    Attributes:
      class_names: one name for each class index.
      max_pixels: larger images are refused.
    """

    class_names: tuple[str, ...]
    max_pixels: int

    @property
    def palette(self) -> Palette:
        """Generated colours."""
        return generated_palette(len(self.class_names))

    @property
    def padding_targets(self) -> ObjectTargets:
        """No objects."""
        return no_objects()

    def read(self, record: Mapping[str, Any], *, name: str) -> ListedSegments:
        """Lists the things of a record.

        Boxes, which records hold as shares of the image, are those of segments and so of whole pixels.

        Raises:
          DataError: as `read_header`.
        """
        height, width = read_header(record["image"], name=name, max_pixels=self.max_pixels).size
        listed, image_id = record[_LISTED], int(record["image/id"])
        things = [place for place, label in enumerate(listed["label"]) if int(label) < len(self.class_names)]
        corners = np.rint(np.reshape(listed["bbox"], (-1, 4)) * np.asarray([height, width] * 2)).astype(np.int64)
        return ListedSegments(
            image={
                "id": image_id,
                "file_name": record["image/filename"].decode(errors="replace"),
                "height": height,
                "width": width,
            },
            annotations=[{"image_id": image_id, **_annotation(listed, place, corners[place])} for place in things],
            numbers=tuple(int(listed["id"][place]) for place in things),
            mask=record[_MASK],
        )


@dataclass(frozen=True, kw_only=True)
class SegmentTable:
    """Outlines that are segments of the masks of records.

    Attributes:
      records: examples whose targets are `ListedSegments`.
      image: int64 [annotations], the record of each annotation.
      numbers: int64 [annotations], its number in the mask.
      max_pixels: larger masks are refused.
    """

    records: Source
    image: Int[np.ndarray, " annotations"]
    numbers: Int[np.ndarray, " annotations"]
    max_pixels: int

    @property
    def is_missing(self) -> Bool[np.ndarray, " annotations"]:
        """None is."""
        return np.zeros(self.numbers.shape, np.bool_)

    @property
    def columns(self) -> tuple[np.ndarray, ...]:
        """The numbers of the segments."""
        return (self.numbers,)

    def of_image(self, places: Int[np.ndarray, " places"]) -> tuple[Outline | None, ...]:
        """Decodes the mask of an image, and returns the segments of its annotations.

        Raises:
          DataError: the record or the mask cannot be read; DATA-ANN, a segment is not in it.
        """
        if not places.size:
            return ()
        example = self.records[int(self.image[places[0]])]
        name = f"{example.name}, {_MASK}"
        header = read_header(example.image, name=name, max_pixels=self.max_pixels)
        stored = decode_mask(example.targets.mask, name=name, max_pixels=self.max_pixels)
        values = upright_mask(stored.values, header, name=name)
        return tuple(_segment(values, number, name=name) for number in self.numbers[places].tolist())


@dataclass(frozen=True, kw_only=True)
class RecordStore:
    """Images in records.

    Attributes:
      records: examples with the images.
      title: name of the data set and the split.
    """

    records: Source
    title: str

    def read(self, image: int) -> bytes:
        """Reads an image.

        Raises:
          DataError: DATA-TFDS, the shard is missing or damaged.
        """
        return self.records[image].image

    def name(self, image: int) -> str:
        """Names the record of an image."""
        return f"{self.title} record {image}"

    def file_set(self, images: Int[np.ndarray, " images"]) -> FileSet:
        """Reads the names and sizes of all shards, whichever of their images are asked for.

        Raises:
          DataError: DATA-DECODE, a shard is missing.
        """
        del images
        return self.records.file_set()


def annotated(records: Source, *, title: str, max_pixels: int) -> CocoSource:
    """Returns the examples of a source whose targets are `ListedSegments` as those of COCO's own files.

    Categories have the ids 1..80, for records hold class indices alone; annotations are numbered from 1.

    Args:
      records: what `SegmentReader` reads.
      title: name of the data set and the split.
      max_pixels: larger images and masks are refused.

    Raises:
      DataError: a record cannot be read; DATA-ANN, records contradict each other.
      ConfigError: pycocotools is not installed.
    """
    import_masks()
    annotations, numbers = _listed(records, title=title)
    outlines = SegmentTable(records=records, image=annotations.image, numbers=numbers, max_pixels=max_pixels)
    annotations = replace(annotations, outlines=outlines)
    return CocoSource(
        annotations=annotations,
        selection=select(annotations),
        images=RecordStore(records=records, title=title),
        split=title,
        indices=np.arange(len(records), dtype=np.int64),
        max_pixels=max_pixels,
        digest=digest_of(annotations),
    )


def _listed(records: Source, *, title: str) -> tuple[Annotations, Int[np.ndarray, " annotations"]]:
    """Reads what all records list, and the number of each annotation's segment.

    Raises:
      DataError: as `annotated`.
    """
    writer, numbers = AnnotationWriter(), []
    try:
        for index, name in enumerate(records.class_names):
            writer.add("categories", {"id": index + 1, "name": name})
        for index in range(len(records)):
            listed = records[index].targets
            writer.add("images", listed.image)
            for number, annotation in zip(listed.numbers, listed.annotations, strict=True):
                numbers.append(number)
                writer.add("annotations", {"id": len(numbers), **annotation})
        return writer.finish(title), np.asarray(numbers, np.int64)
    except ValueError as error:
        raise DataError(f"{title}: {error}", do="build the data set again", code="DATA-ANN") from error


def _annotation(listed: Mapping[str, Any], place: int, yxyx: Int[np.ndarray, "4"]) -> dict[str, object]:
    """A listed segment with that box in pixels, as COCO's files have annotations."""
    y0, x0, y1, x1 = yxyx.tolist()
    return {
        "category_id": int(listed["label"][place]) + 1,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": int(listed["area"][place]),
        "iscrowd": int(listed["is_crowd"][place]),
    }


def _segment(values: Int[np.ndarray, "height width"], number: int, *, name: str) -> Segment:
    """A segment of a mask.

    Raises:
      DataError: DATA-ANN, it has no pixels.
    """
    if not (values == number).any():
        message = f"{name}: the segment {number} is listed and has no pixels"
        raise DataError(message, do="build the data set again", code="DATA-ANN")
    return Segment(values=values, number=np.int32(number))
