"""Reads images with objects annotated in COCO's format: COCO 2017 as it is downloaded, or a folder of a user's own.

All images of a file are examples; `learnable` are those that the recipes train on. Annotations are held in columns
(`gauss_vit.data.sources.coco_annotations`), and masks are drawn when an image is read to learn from it.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from gauss_vit.batches import Boxes, ObjectTargets, no_objects
from gauss_vit.class_names import listed
from gauss_vit.data.config import Data
from gauss_vit.data.examples import Example
from gauss_vit.data.file_reading import read_member, sizes
from gauss_vit.data.images.object_targets import AnnotatedObjects
from gauss_vit.data.images.outlines import Outline, import_masks, rectangle
from gauss_vit.data.sources import coco_layout, folder_layout, how_to_get, slices
from gauss_vit.data.sources.coco_annotations import NO_CLASS, Annotations, read_annotations
from gauss_vit.data.sources.coco_layout import SplitFiles
from gauss_vit.data.sources.coco_selection import Selection, select
from gauss_vit.data.sources.mask_folders import local_root
from gauss_vit.errors import DataError
from gauss_vit.files import FileSet
from gauss_vit.palette import Palette, generated_palette


@dataclass(frozen=True, kw_only=True)
class CocoSource:
    """Some images of an annotation file, in the order of the file.

    Attributes:
      annotations: what the file holds.
      selection: what of it is learned from.
      folder: folder of the images.
      split: the split or part of one that they are.
      indices: int64 [examples], indices of the images in the file.
      max_pixels: larger images are refused.
      digest: sixteen hexadecimal digits that depend on all images and annotations of the file.
    """

    annotations: Annotations
    selection: Selection
    folder: Path
    split: str
    indices: Int[np.ndarray, " examples"]
    max_pixels: int
    digest: str

    @property
    def class_names(self) -> tuple[str, ...]:
        """One for each class index, in the order of the ids in the file."""
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
        """Reads the sizes of the images and of the annotation file.

        Raises:
          DataError: DATA-DECODE, a file is missing.
        """
        names = [self.annotations.file_names[index] for index in self.indices.tolist()]
        of_annotations = sizes(self.annotations.path.parent, [self.annotations.path.name])
        files = zip([self.annotations.path.name, *names], of_annotations + sizes(self.folder, names), strict=True)
        return FileSet.of(files)

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
            message = f"{self._name(index)}: {height} x {width} px, the limit is {max_pixels / 1e6:g} Mpx"
            raise DataError(message, do=f"set data.max_pixels to {height * width} or more", code="DATA-BOMB")
        return height, width

    def __getitem__(self, index: int) -> Example:
        """Reads an image with the objects in it that are learned from.

        Raises:
          IndexError: index is not in 0..len-1.
          DataError: as `read_member` and `image_size`.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is not in 0..{len(self) - 1}")
        size, image = self.image_size(index, max_pixels=self.max_pixels), int(self.indices[index])
        places = self.selection.of_image(image)
        yxyx = _corners(self.annotations.xywh[places])
        objects = AnnotatedObjects(
            boxes=Boxes(yxyx=yxyx.astype(np.float32)),
            label=self.annotations.label[places].astype(np.int32),
            outlines=tuple(map(self._outline, places.tolist())),
            size=np.asarray(size, np.int32),
            image_id=np.int32(self.annotations.image_ids[image]),
        )
        encoded = read_member(self.folder, self.annotations.file_names[image])
        return Example(image=encoded, targets=objects, name=self._name(index))

    def learnable(self) -> "CocoSource":
        """Returns the images that are learned from: annotated ones that are not too narrow.

        Raises:
          DataError: DATA-EMPTY, there are none.
        """
        kept = self.indices[np.isin(self.indices, self.selection.images)]
        if not len(kept):
            message = f"{self.annotations.path}: none of the {len(self)} images of {self.split} has annotations"
            raise DataError(message, do="annotate some, or choose another split", code="DATA-EMPTY")
        return replace(self, indices=kept, split=f"{self.split}, learnable")

    def summary(self) -> tuple[str, ...]:
        """Says how many objects the whole file has, and what of it is not learned from, and why."""
        return tuple(_summary(self.annotations, self.selection))

    def truth(self) -> Mapping[str, Any]:
        """Returns the images with all annotations of listed classes, in COCO's format.

        Where the file has masks, the box of an annotation without one stands for it, as in training.
        """
        known = self.annotations
        has_masks = not known.outlines.is_missing.all()
        is_here = np.isin(known.image, self.indices) & (known.label != NO_CLASS)
        return {
            "images": [self._image_entry(image) for image in self.indices.tolist()],
            "categories": [
                {"id": number, "name": name}
                for number, name in zip(known.class_ids.tolist(), known.class_names, strict=True)
            ],
            "annotations": [
                self._annotation_entry(place) | (self._segmentation(place) if has_masks else {})
                for place in np.flatnonzero(is_here).tolist()
            ],
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

    def _segmentation(self, place: int) -> dict[str, Any]:
        height, width = self.annotations.sizes[self.annotations.image[place]].tolist()
        return {"segmentation": self._outline(place).to_coco((height, width))}

    def _outline(self, place: int) -> Outline:
        """The mask of an annotation, or its box where it has none."""
        outline = self.annotations.outlines[place]
        return rectangle(_corners(self.annotations.xywh[place][None])[0]) if outline is None else outline

    def _name(self, index: int) -> str:
        image = int(self.indices[index])
        return f"{self.folder / self.annotations.file_names[image]} (image {self.annotations.image_ids[image]})"


@dataclass(frozen=True, kw_only=True)
class CocoDataSet:
    """A folder of annotation files and images.

    Attributes:
      root: the folder.
      find_splits: finds its splits.
      max_pixels: larger images are refused.
      remedy: what to do where nothing is found.
    """

    root: Path
    find_splits: Callable[[Path], Mapping[str, SplitFiles]]
    max_pixels: int
    remedy: str

    def split_names(self) -> tuple[str, ...]:
        """Names the splits that have an annotation file; "all" is that of a file for no split.

        Raises:
          DataError: DATA-EMPTY, there are none, or several files for one split.
        """
        return tuple(self._splits())

    def open(self, split: str) -> CocoSource:
        """Reads the annotations of a split, or of a part of it such as "train[:90%]".

        Raises:
          DataError: DATA-EMPTY, there is no such split, or nothing in it; DATA-ANN, the annotation file is damaged.
          ConfigError: pycocotools is not installed.
        """
        import_masks()
        part, known = slices.parse(split), self._splits()
        name = folder_layout.canonical(part.name)
        if name not in known:
            message = f"{self.root} has no annotations for the split {part.name}: it has {', '.join(known)}"
            do = f"use one of {', '.join(known)}, or a slice such as {next(iter(known))}[:90%]"
            raise DataError(message, do=do, code="DATA-EMPTY")
        annotations, selection, digest = _read(known[name].annotations)
        indices = np.asarray(part.indices(len(annotations.file_names)), np.int64)
        if not len(indices):
            message = f"{annotations.path} has no images in the split {split}"
            raise DataError(message, do="choose another split", code="DATA-EMPTY")
        return CocoSource(
            annotations=annotations,
            selection=selection,
            folder=known[name].image_folder(annotations.file_names[indices[0]]),
            split=split,
            indices=indices,
            max_pixels=self.max_pixels,
            digest=digest,
        )

    def open_whole(self) -> CocoSource:
        """Refuses to divide annotations at random.

        Raises:
          DataError: DATA-EMPTY, always.
        """
        message = f"the annotations in {self.root} are not divided at random"
        do = "add --config.data.split_protocol=official, and slices such as all[:80%] and all[80%:] as the splits"
        raise DataError(message, do=do, code="DATA-EMPTY")

    def _splits(self) -> Mapping[str, SplitFiles]:
        """Finds the splits.

        Raises:
          DataError: DATA-EMPTY, there are none.
        """
        found = self.find_splits(self.root)
        if found:
            return found
        raise coco_layout.nothing_found(self.root, remedy=self.remedy)


def open_coco(data: Data) -> CocoDataSet:
    """Returns COCO 2017 as a run reads it.

    Raises:
      DataError: DATA-EMPTY, no folder is given.
    """
    return _data_set(data, coco_layout.coco_splits)


def open_folder(data: Data) -> CocoDataSet:
    """Returns the annotated folder that a run reads.

    Raises:
      DataError: DATA-EMPTY, none is given.
    """
    return _data_set(data, coco_layout.folder_splits)


def _data_set(data: Data, find_splits: Callable[[Path], Mapping[str, SplitFiles]]) -> CocoDataSet:
    return CocoDataSet(
        root=local_root(data, example="--config.data.data_dir=coco, with annotations and images in it"),
        find_splits=find_splits,
        max_pixels=data.max_pixels,
        remedy=how_to_get.remedy(data.name, data.data_dir),
    )


def _read(path: Path) -> tuple[Annotations, Selection, str]:
    """Reads an annotation file, and tells it apart from others.

    Raises:
      DataError: DATA-ANN, it is damaged.
    """
    annotations = read_annotations(path)
    if not annotations.class_names:
        raise DataError(f"{path} lists no categories", do="write them into it", code="DATA-ANN")
    return annotations, select(annotations), _digest(annotations)


def _digest(annotations: Annotations) -> str:
    """Hashes the images, classes and annotations of a file."""
    outlines = annotations.outlines
    columns = (
        *(annotations.image_ids, annotations.sizes, annotations.class_ids, annotations.ids, annotations.image),
        *(annotations.label, annotations.xywh, annotations.area, annotations.is_crowd),
        *(outlines.numbers, outlines.polygon_ends, outlines.last_polygons, outlines.runs, outlines.last_runs),
    )
    state = hashlib.sha256(repr((annotations.class_names, annotations.file_names)).encode())
    for column in columns:
        state.update(np.ascontiguousarray(column).data)
    return state.hexdigest()[:16]


def _summary(annotations: Annotations, selection: Selection) -> Iterator[str]:
    """What an annotation file holds, and what is not learned from, in lines."""
    path, num_images = annotations.path, len(annotations.file_names)
    yield (
        f"{path.name}: {num_images:,} images, {len(annotations.ids):,} annotations of {len(annotations.class_names):,} "
        f"classes, {selection.num_crowds:,} of crowds"
    )
    yield f"learned from: {len(selection.objects):,} objects, {len(selection.images):,} images"
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
