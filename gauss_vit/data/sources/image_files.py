"""Images that a user names: files, folders and patterns, as a source without labels."""

import dataclasses
import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from gauss_vit.batches import Mask, MaskTargets, ObjectTargets, no_objects
from gauss_vit.config.schema import nearest
from gauss_vit.data.examples import Example
from gauss_vit.data.file_reading import read_file, sizes
from gauss_vit.data.image_sizes import size_in_file
from gauss_vit.data.images.header import LARGEST_MAX_PIXELS, read_header
from gauss_vit.data.images.image import SUFFIXES, has_image_suffix, visible_files
from gauss_vit.data.images.object_targets import unannotated
from gauss_vit.errors import DataError
from gauss_vit.files import FileSet


@dataclass(frozen=True, kw_only=True)
class FoundImages:
    """The image files that names stand for.

    Attributes:
      paths: each file once, in the order of the names; those of a folder in byte order of their paths.
      num_repeated: how many times a file was named again.
      num_ignored: number of files in folders, and of matches of patterns, without the suffix of an image.
    """

    paths: tuple[Path, ...]
    num_repeated: int
    num_ignored: int


def find_images(names: Sequence[str]) -> FoundImages:
    """Finds the images that names stand for.

    Args:
      names: files, taken whatever their suffix; folders, searched with the folders below them; and patterns, such as
        `photos/*.jpg` or `photos/**`, in which a match may be a folder.

    Raises:
      DataError: DATA-EMPTY, a name stands for no file.
    """
    paths: dict[str, Path] = {}
    num_named = num_ignored = 0
    for name in names:
        images, others = _find(name)
        if not images:
            what = f"{len(others)} other files" if others else "nothing"
            message = f"{name}: no images (looked for {' '.join(SUFFIXES)}, found {what})"
            raise DataError(message, do="name images, or folders of images", code="DATA-EMPTY")
        num_named, num_ignored = num_named + len(images), num_ignored + len(others)
        for path in images:
            paths.setdefault(os.path.realpath(path), path)
    return FoundImages(paths=tuple(paths.values()), num_repeated=num_named - len(paths), num_ignored=num_ignored)


def _find(name: str) -> tuple[list[Path], list[Path]]:
    """Returns the images and the other files that one name stands for.

    Raises:
      DataError: there is no such file.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return _split(visible_files(path))
    if os.path.lexists(path):
        return [path], []
    if not glob.has_magic(name):
        raise _missing(path)
    # Unlike `Path.glob` it takes an absolute pattern.
    matches = sorted(map(Path, glob.glob(os.fspath(path), recursive=True)), key=os.fsencode)  # noqa: PTH207
    return _split(list(dict.fromkeys(file for match in matches for file in _files(match))))


def _files(path: Path) -> list[Path]:
    return visible_files(path) if path.is_dir() else [path]


def _split(files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    return [path for path in files if has_image_suffix(path)], [path for path in files if not has_image_suffix(path)]


def _missing(path: Path) -> DataError:
    siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    suggestion = nearest(path.name, siblings)
    remedy = f"did you mean {path.parent / suggestion}?" if suggestion else "correct the path"
    return DataError(f"{path} does not exist", do=remedy, code="DATA-EMPTY")


@dataclass(frozen=True, kw_only=True)
class FileSource:
    """Image files as examples without labels.

    Attributes:
      paths: the files.
      targets: "masks" gives every image a mask of zeros and "objects" no objects, which tell the size of the file;
        "none" gives it nothing.
    """

    paths: tuple[Path, ...]
    targets: Literal["none", "masks", "objects"] = "none"
    class_names: tuple[str, ...] = ()
    num_classes: int = 0

    @property
    def padding_targets(self) -> MaskTargets | ObjectTargets | tuple[()]:
        """A mask of zeros, no objects, or nothing."""
        blank = {"masks": _blank((1, 1)), "objects": no_objects()}
        return blank.get(self.targets, ())

    def file_set(self) -> FileSet:
        """Reads the sizes of the files.

        Raises:
          DataError: DATA-DECODE, a file is missing.
        """
        names = [str(path) for path in self.paths]
        return FileSet.of(zip(names, sizes(Path(), names), strict=True))

    def __len__(self) -> int:
        """Number of files."""
        return len(self.paths)

    def image_size(self, index: int, *, max_pixels: int) -> tuple[int, int]:
        """Reads the (height, width) in pixels of an upright image.

        Raises:
          DataError: as `size_in_file`.
        """
        return size_in_file(self.paths[index], max_pixels=max_pixels)

    def __getitem__(self, index: int) -> Example:
        """Reads a file.

        Raises:
          DataError: it is not a regular file, or cannot be read.
        """
        example = example_of(self.paths[index])
        if self.targets == "none":
            return example
        # The limit of pixels is checked where the image is decoded.
        header = read_header(example.image, name=example.name, max_pixels=LARGEST_MAX_PIXELS)
        known = _blank(header.size) if self.targets == "masks" else unannotated(header.size, image_id=index)
        return dataclasses.replace(example, targets=known)


def _blank(size: tuple[int, int]) -> MaskTargets:
    """A mask of zeros of that (height, width)."""
    return MaskTargets(mask=Mask(values=np.zeros(size, np.uint8)))


def example_of(path: Path) -> Example:
    """Reads an image file as an example without targets.

    Raises:
      DataError: it is not a regular file, or cannot be read.
    """
    return Example(image=read_file(path), targets=(), name=str(path))
