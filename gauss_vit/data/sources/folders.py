"""Reads folders of images: `CLASS/*.jpg`, or the same below folders for splits (`data.sources.folder_layout`).

Only paths are held in memory. A `labels.json` may name the classes or set their order: `data.sources.labels`.
"""

import bisect
import hashlib
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gauss_vit.batches import ClassTargets
from gauss_vit.data.config import DEFAULT_DATA_DIR, Data
from gauss_vit.data.examples import Example, Source
from gauss_vit.data.file_reading import read_member, sizes
from gauss_vit.data.images.image import SUFFIXES
from gauss_vit.data.sources import folder_layout, labels, slices
from gauss_vit.data.sources.folder_listing import Lister, contents
from gauss_vit.data.sources.subsets import SubsetSource, take
from gauss_vit.errors import DataError
from gauss_vit.files import FileSet, is_remote


@dataclass(frozen=True, kw_only=True)
class FolderSource:
    """One split of a folder of images.

    Attributes:
      root: the folder that `data.data_dir` names.
      split: "all", or the split whose folder it is.
      class_names: one name for each class index.
      files: paths relative to the root, class after class.
      class_ends: for each class, the index of the first example after it.
      num_ignored: number of files that are not images, by their names.
      digest: sixteen hexadecimal digits that depend on the files, their order and classes.
    """

    root: Path
    split: str
    class_names: tuple[str, ...]
    files: tuple[str, ...]
    class_ends: tuple[int, ...]
    num_ignored: int
    digest: str

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def padding_targets(self) -> ClassTargets:
        """Class 0."""
        return ClassTargets(label=np.int32(0))

    def file_set(self) -> FileSet:
        """Reads the sizes of the files; their names are relative to the root.

        Raises:
          DataError: DATA-DECODE, a file is missing.
        """
        return FileSet.of(zip(self.files, sizes(self.root, self.files), strict=True))

    def __len__(self) -> int:
        """Number of images."""
        return len(self.files)

    def __repr__(self) -> str:
        """Split, size and digest: the same wherever the folder is."""
        return f"FolderSource(split={self.split!r}, num_examples={len(self)}, files={self.digest!r})"

    def __getitem__(self, index: int) -> Example:
        """Reads one file.

        Raises:
          IndexError: index is not in 0..len-1.
          DataError: DATA-DECODE, the file is missing or unreadable; DATA-GONE, the whole folder is.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is not in 0..{len(self) - 1}")
        return Example(
            image=read_member(self.root, self.files[index]),
            targets=ClassTargets(label=np.int32(bisect.bisect_right(self.class_ends, index))),
            name=f"{self.root / self.files[index]} (index {index})",
        )


@dataclass(frozen=True, kw_only=True)
class FolderDataSet:
    """A folder of images with the splits that its folders make.

    Attributes:
      root: the folder.
      follow_links: whether links may lead out of it.
    """

    root: Path
    follow_links: bool

    def split_names(self) -> tuple[str, ...]:
        """Names the split folders; "all" for a folder of classes.

        Raises:
          DataError: DATA-EMPTY, there is no such folder.
        """
        return tuple(folder_layout.split_folders(self.root)) or (folder_layout.WHOLE,)

    def open(self, split: str) -> Source:
        """Lists the images of a split, or of a part of it.

        Raises:
          DataError: as `open_folder`; DATA-EMPTY, the part holds nothing; DATA-LABEL, it lacks whole classes.
        """
        part = slices.parse(split)
        whole = open_folder(self.root, part.name, follow_links=self.follow_links)
        if part.is_whole:
            return whole
        kept = take(whole, np.asarray(part.indices(len(whole)), np.int64), split=split)
        _require_all_classes(whole, kept)
        return kept

    def open_whole(self) -> FolderSource:
        """Lists the images of a folder of classes, or of one with a single split folder.

        Raises:
          DataError: as `open_folder`; DATA-EMPTY, the folder is already divided.
        """
        split = folder_layout.whole_split(self.root)
        return open_folder(self.root, split, follow_links=self.follow_links)


def open_data_set(data: Data) -> FolderDataSet:
    """Returns the folder that a run reads.

    Raises:
      DataError: DATA-EMPTY, none is given.
    """
    if data.data_dir == DEFAULT_DATA_DIR:
        raise DataError(
            "data.name=folder reads a folder of images, and data.data_dir does not say which",
            do="add --config.data.data_dir=birds, for example, with birds/train/CLASS/*.jpg and birds/val/CLASS/*.jpg",
            code="DATA-EMPTY",
        )
    if is_remote(data.data_dir):
        raise DataError(
            f"data.data_dir={data.data_dir} is in a bucket; a folder of images is read from this machine",
            do="pack the images with `gauss-vit data prepare`, whose files are also read from a bucket, or mount it",
            code="DATA-EMPTY",
        )
    return FolderDataSet(root=Path(data.data_dir).expanduser(), follow_links=data.follow_links)


def open_folder(root: Path, split: str, *, follow_links: bool = False) -> FolderSource:
    """Lists the images of a split.

    Args:
      root: the folder of class folders, or of split folders.
      split: "all" for a folder of classes; "train", "validation" or "test" for one with folders of such a name.
      follow_links: whether links may lead out of the folder.

    Raises:
      DataError: DATA-EMPTY, there is no folder, class, image or such split; DATA-LABEL, a class that is not one of
        the training classes, a file in two classes, or a labels.json that does not fit or is in a split folder;
        DATA-DECODE, an entry with an image's suffix is not a regular file.
    """
    root = root.expanduser()
    lister = Lister(root=root, follow_links=follow_links)
    split = folder_layout.canonical(split)
    parent = folder_layout.split_folder(root, split)
    folders = folder_layout.require_classes(parent, lister.class_folders(parent))
    labels.refuse_in_splits(root, folder_layout.split_folders(root).values())
    names = labels.class_names(root, _all_classes(root, folders, lister=lister))
    unknown = [folder for folder in folders if folder not in names]
    if unknown:
        train = folder_layout.split_folders(root)["train"]
        message = f"{parent / unknown[0]} is a class that {train} does not have"
        raise DataError(message, do="rename or remove it, or add it there", code="DATA-LABEL")
    listings = [lister.list_class(parent / folder) if folder in folders else None for folder in names]
    files = [listing.files if listing else () for listing in listings]
    _require_images(parent, {folder: found for folder, found in zip(names, files, strict=True) if folder in folders})
    return FolderSource(
        root=root,
        split=split,
        class_names=tuple(names.values()),
        files=tuple(itertools.chain.from_iterable(files)),
        class_ends=tuple(itertools.accumulate(len(found) for found in files)),
        num_ignored=sum(listing.num_ignored for listing in listings if listing),
        digest=_digest(files),
    )


def _all_classes(root: Path, folders: tuple[str, ...], *, lister: Lister) -> tuple[str, ...]:
    """Returns the class folders that determine the indices: those of the training split if there is one."""
    splits = folder_layout.split_folders(root)
    return lister.class_folders(splits["train"]) if "train" in splits else folders


def _require_all_classes(whole: FolderSource, kept: SubsetSource) -> None:
    """Refuses a slice that lacks classes of its split.

    Raises:
      DataError: DATA-LABEL.
    """
    held, known = (
        len(np.unique(np.searchsorted(whole.class_ends, indices, side="right")))
        for indices in (kept.indices, np.arange(len(whole)))
    )
    if held == known:
        return
    can_shuffle = len(folder_layout.split_folders(whole.root)) < 2
    message = (
        f"{kept.split} of {whole.root} holds images of {held:,} of {known:,} classes: a folder is in the order of its "
        "classes"
    )
    do = (
        "add --config.data.split_protocol=paper, whose splits are random, or make folders train and val"
        if can_shuffle
        else f"use {whole.split} as a whole, or move some images of every class into a folder of another split"
    )
    raise DataError(message, do=do, code="DATA-LABEL")


def _require_images(parent: Path, files: dict[str, tuple[str, ...]]) -> None:
    """Refuses classes without images.

    Raises:
      DataError: DATA-EMPTY, with the first class concerned and what is in it.
    """
    empty = [folder for folder, found in files.items() if not found]
    if not empty:
        return
    more = f" (and {len(empty) - 1} more classes)" if len(empty) > 1 else ""
    message = (
        f"no images under {parent / empty[0]}{more} (looked for {' '.join(SUFFIXES)}). "
        f"Found: {contents(parent / empty[0])}"
    )
    raise DataError(message, do="remove the empty folder, or fill it", code="DATA-EMPTY")


def _digest(files: Sequence[Sequence[str]]) -> str:
    """Hashes the names of the files of every class, in order."""
    state = hashlib.sha256()
    for found in files:
        state.update(b"\0\0")
        for name in found:
            state.update(os.fsencode(name) + b"\0")
    return state.hexdigest()[:16]
