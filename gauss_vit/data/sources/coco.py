"""Reads images with objects annotated in COCO's format: COCO 2017 as it is downloaded, or a folder of a user's own.

Examples are those of `gauss_vit.data.sources.coco_source`; here is where their files are.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from gauss_vit.data.config import Data
from gauss_vit.data.file_reading import read_member, sizes
from gauss_vit.data.images.outlines import import_masks
from gauss_vit.data.sources import coco_layout, folder_layout, how_to_get, slices
from gauss_vit.data.sources.coco_annotations import read_annotations
from gauss_vit.data.sources.coco_layout import SplitFiles
from gauss_vit.data.sources.coco_selection import select
from gauss_vit.data.sources.coco_source import CocoSource, digest_of
from gauss_vit.data.sources.folder_listing import require_inside
from gauss_vit.data.sources.mask_folders import local_root
from gauss_vit.errors import DataError
from gauss_vit.files import FileSet


@dataclass(frozen=True, kw_only=True)
class FileStore:
    """Images in a folder, beside a file of annotations.

    Attributes:
      annotations: the file of annotations.
      folder: folder of the images.
      file_names: for each image its file, relative to the folder.
      boundary: folder that no file may be outside of; None is any place.
    """

    annotations: Path
    folder: Path
    file_names: tuple[str, ...]
    boundary: Path | None

    def read(self, image: int) -> bytes:
        """Reads an image file.

        Raises:
          DataError: as `read_member`; DATA-DECODE, the file is out of bounds.
        """
        if self.boundary is not None:
            require_inside(self.folder / self.file_names[image], root=self.boundary)
        return read_member(self.folder, self.file_names[image])

    def name(self, image: int) -> str:
        """Returns the path of an image."""
        return str(self.folder / self.file_names[image])

    def file_set(self, images: Int[np.ndarray, " images"]) -> FileSet:
        """Reads the sizes of the images and of the annotation file.

        Raises:
          DataError: DATA-DECODE, a file is missing.
        """
        names = [self.file_names[image] for image in images.tolist()]
        of_annotations = sizes(self.annotations.parent, [self.annotations.name])
        return FileSet.of(zip([self.annotations.name, *names], of_annotations + sizes(self.folder, names), strict=True))


@dataclass(frozen=True, kw_only=True)
class CocoDataSet:
    """A folder of annotation files and images.

    Attributes:
      root: the folder.
      find_splits: finds its splits.
      follow_links: whether links to images may lead out of the root.
      max_pixels: larger images are refused.
      remedy: what to do where nothing is found.
    """

    root: Path
    find_splits: Callable[[Path], Mapping[str, SplitFiles]]
    follow_links: bool
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
          DataError: DATA-EMPTY, there is no such split, or nothing in it; DATA-ANN, the annotation file is damaged;
            DATA-DECODE, the images are out of the root.
          ConfigError: pycocotools is not installed.
        """
        import_masks()
        part, known = slices.parse(split), self._splits()
        name = folder_layout.canonical(part.name)
        if name not in known:
            message = f"{self.root} has no annotations for the split {part.name}: it has {', '.join(known)}"
            do = f"use one of {', '.join(known)}, or a slice such as {next(iter(known))}[:90%]"
            raise DataError(message, do=do, code="DATA-EMPTY")
        path = known[name].annotations
        annotations = read_annotations(path)
        if not annotations.class_names:
            raise DataError(f"{path} lists no categories", do="write them into it", code="DATA-ANN")
        indices = np.asarray(part.indices(len(annotations.file_names)), np.int64)
        if not len(indices):
            message = f"{path} has no images in the split {split}"
            raise DataError(message, do="choose another split", code="DATA-EMPTY")
        folder, boundary = known[name].image_folder(annotations.file_names[indices[0]]), None
        if not self.follow_links:
            require_inside(folder, root=self.root)
            boundary = self.root
        return CocoSource(
            annotations=annotations,
            selection=select(annotations),
            images=FileStore(annotations=path, folder=folder, file_names=annotations.file_names, boundary=boundary),
            split=split,
            indices=indices,
            max_pixels=self.max_pixels,
            digest=digest_of(annotations),
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
        follow_links=data.follow_links,
        max_pixels=data.max_pixels,
        remedy=how_to_get.remedy(data.name, data.data_dir),
    )
