"""Examples of images with annotated objects, wherever the images and the annotations are kept.

All annotated images are examples; `learnable` are those that the recipes train on. Annotations are held in columns
(`gauss_vit.data.sources.coco_annotations`), and masks are drawn when an image is read to learn from it.
"""

import hashlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from gauss_vit.batches import Boxes, ObjectTargets, no_objects
from gauss_vit.class_names import listed
from gauss_vit.data.examples import Example
from gauss_vit.data.images.header import too_large
from gauss_vit.data.images.object_targets import AnnotatedObjects
from gauss_vit.data.images.outlines import Outline, rectangle
from gauss_vit.data.sources.coco_annotations import NO_CLASS, Annotations
from gauss_vit.data.sources.coco_selection import Selection
from gauss_vit.errors import DataError
from gauss_vit.files import FileSet
from gauss_vit.palette import Palette, generated_palette
from gauss_vit.quantities import counted


@runtime_checkable
class ImageStore(Protocol):
    """Where the images are that annotations are for, by their index among these."""

    def read(self, image: int) -> bytes:
        """Reads the bytes of an image file.

        Raises:
          DataError: it cannot be read.
        """
        ...

    def name(self, image: int) -> str:
        """Names an image in error messages."""
        ...

    def file_set(self, images: Int[np.ndarray, " images"]) -> FileSet:
        """Reads the names and sizes of the files that hold these images and the annotations.

        Raises:
          DataError: DATA-DECODE, a file is missing.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class CocoSource:
    """Some annotated images, in the order of the annotations.

    Attributes:
      annotations: those of these images, and of others.
      selection: what of them is learned from.
      images: where the images are.
      split: the split or part of one that they are.
      indices: int64 [examples], indices of the images among those that are annotated.
      max_pixels: larger images are refused.
      digest: sixteen hexadecimal digits that depend on all images and annotations, as `digest_of`.
    """

    annotations: Annotations
    selection: Selection
    images: ImageStore
    split: str
    indices: Int[np.ndarray, " examples"]
    max_pixels: int
    digest: str

    @property
    def class_names(self) -> tuple[str, ...]:
        """One for each class index, in the order of the ids in the annotations."""
        return self.annotations.class_names

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def palette(self) -> Palette:
        """Generated colours."""
        return generated_palette(self.num_classes)

    @property
    def padding_targets(self) -> ObjectTargets:
        """No objects."""
        return no_objects()

    def file_set(self) -> FileSet:
        """Reads the sizes of the files with the images and the annotations.

        Raises:
          DataError: DATA-DECODE, a file is missing.
        """
        return self.images.file_set(self.indices)

    def __len__(self) -> int:
        """Number of images."""
        return len(self.indices)

    def __repr__(self) -> str:
        """Split, size and digest: the same wherever the folder is."""
        return f"CocoSource(split={self.split!r}, num_examples={len(self)}, annotations={self.digest!r})"

    def image_size(self, index: int, *, max_pixels: int) -> tuple[int, int]:
        """Returns the (height, width) in pixels of an image by its annotations.

        Raises:
          DataError: DATA-BOMB, it has more pixels than `max_pixels`.
        """
        height, width = self.annotations.sizes[self.indices[index]].tolist()
        if height * width > max_pixels:
            size = f"{height} x {width} px"
            raise too_large(self._name(index), size, num_pixels=height * width, max_pixels=max_pixels)
        return height, width

    def __getitem__(self, index: int) -> Example:
        """Reads an image with the objects in it that are learned from.

        Raises:
          IndexError: index is not in 0..len-1.
          DataError: as `ImageStore.read` and `image_size`; DATA-ANN, a mask cannot be read.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is not in 0..{len(self) - 1}")
        size, image = self.image_size(index, max_pixels=self.max_pixels), int(self.indices[index])
        places = self.selection.of_image(image)
        yxyx = _corners(self.annotations.xywh[places])
        objects = AnnotatedObjects(
            boxes=Boxes(yxyx=yxyx.astype(np.float32)),
            label=self.annotations.label[places].astype(np.int32),
            outlines=self._outlines(places),
            size=np.asarray(size, np.int32),
            image_id=np.int32(self.annotations.image_ids[image]),
        )
        return Example(image=self.images.read(image), targets=objects, name=self._name(index))

    def learnable(self) -> "CocoSource":
        """Returns the images that are learned from: annotated ones that are not too narrow.

        Raises:
          DataError: DATA-EMPTY, there are none.
        """
        kept = self.indices[np.isin(self.indices, self.selection.images)]
        if not len(kept):
            message = f"{self.annotations.name}: none of the {len(self)} images of {self.split} has annotations"
            raise DataError(message, do="annotate some, or choose another split", code="DATA-EMPTY")
        return replace(self, indices=kept, split=f"{self.split}, learnable")

    def summary(self) -> tuple[str, ...]:
        """Says how many objects all annotations have, and what of it is not learned from, and why."""
        return tuple(_summary(self.annotations, self.selection))

    def truth(self) -> Mapping[str, Any]:
        """Returns the images with all annotations of listed classes, in COCO's format.

        Where there are masks, the box of an annotation without one stands for it, as in training.

        Raises:
          DataError: DATA-ANN, a mask cannot be read.
        """
        known = self.annotations
        is_here = np.isin(known.image, self.indices) & (known.label != NO_CLASS)
        return {
            "images": [self._image_entry(image) for image in self.indices.tolist()],
            "categories": [
                {"id": number, "name": name}
                for number, name in zip(known.class_ids.tolist(), known.class_names, strict=True)
            ],
            "annotations": list(self._annotation_entries(np.flatnonzero(is_here))),
        }

    def _image_entry(self, image: int) -> dict[str, Any]:
        known = self.annotations
        height, width = known.sizes[image].tolist()
        return {
            "id": int(known.image_ids[image]),
            "file_name": known.file_names[image],
            "height": height,
            "width": width,
        }

    def _annotation_entries(self, places: Int[np.ndarray, " annotations"]) -> Iterator[dict[str, Any]]:
        """Annotations with their masks, which are read once for those of an image that follow each other."""
        known = self.annotations
        has_masks = not known.outlines.is_missing.all()
        for image, group in itertools.groupby(places.tolist(), key=lambda place: int(known.image[place])):
            together, size = list(group), tuple(known.sizes[image].tolist())
            outlines = self._outlines(np.asarray(together, np.int64)) if has_masks else ()
            for place, outline in itertools.zip_longest(together, outlines):
                mask = {} if outline is None else {"segmentation": outline.to_coco(size)}
                yield self._annotation_entry(place) | mask

    def _annotation_entry(self, place: int) -> dict[str, Any]:
        known = self.annotations
        return {
            "id": int(known.ids[place]),
            "image_id": int(known.image_ids[known.image[place]]),
            "category_id": int(known.class_ids[known.label[place]]),
            "bbox": known.xywh[place].tolist(),
            "area": float(known.area[place]),
            "iscrowd": int(known.is_crowd[place]),
        }

    def _outlines(self, places: Int[np.ndarray, " annotations"]) -> tuple[Outline, ...]:
        """The masks of annotations of one image, or the boxes of those that have none."""
        found, boxes = self.annotations.outlines.of_image(places), _corners(self.annotations.xywh[places])
        return tuple(rectangle(box) if outline is None else outline for outline, box in zip(found, boxes, strict=True))

    def _name(self, index: int) -> str:
        image = int(self.indices[index])
        return f"{self.images.name(image)} (image {self.annotations.image_ids[image]})"


def digest_of(annotations: Annotations) -> str:
    """Hashes images, classes and annotations, into sixteen hexadecimal digits."""
    columns = (
        *(annotations.image_ids, annotations.sizes, annotations.class_ids, annotations.ids, annotations.image),
        *(annotations.label, annotations.xywh, annotations.area, annotations.is_crowd),
        *annotations.outlines.columns,
    )
    state = hashlib.sha256(repr((annotations.class_names, annotations.file_names)).encode())
    for column in columns:
        state.update(np.ascontiguousarray(column).data)
    return state.hexdigest()[:16]


def _summary(annotations: Annotations, selection: Selection) -> Iterator[str]:
    """What annotations hold, and what is not learned from, in lines."""
    num_images = len(annotations.file_names)
    yield (
        f"{annotations.name}: {counted(num_images, 'image')}, {counted(len(annotations.ids), 'annotation')} of "
        f"{len(annotations.class_names):,} classes, {selection.num_crowds:,} of crowds"
    )
    yield f"learned from: {counted(len(selection.objects), 'object')}, {counted(len(selection.images), 'image')}"
    counts = np.bincount(annotations.label[selection.objects], minlength=len(annotations.class_names))
    if absent := [name for name, count in zip(annotations.class_names, counts.tolist(), strict=True) if not count]:
        yield f"classes without objects: {listed(absent)}"
    for what, left_out in (("annotations", selection.left_out), ("images", selection.images_left_out)):
        if left_out:
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items())
            yield f"left out of training: {what}: {reasons}"
    if selection.num_unmasked:
        yield f"objects without a mask, for which the box stands: {selection.num_unmasked:,}"


def _corners(xywh: Float[np.ndarray, "boxes 4"]) -> Float[np.ndarray, "boxes 4"]:
    """Boxes (y0, x0, y1, x1) from COCO's."""
    x, y, width, height = xywh.T
    return np.stack([y, x, y + height, x + width], axis=1)
