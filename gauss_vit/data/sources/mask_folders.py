"""Reads folders of images and masks of the same names: `images/*.jpg` and `masks/*.png`.

Splits are folders in both (`images/train`, `masks/train`), or folders around both (`train/images`, `train/masks`), by
the names that `data.sources.folder_layout` knows. Only paths are held in memory.
"""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gauss_vit.batches import MaskTargets
from gauss_vit.data.config import DEFAULT_DATA_DIR, Data
from gauss_vit.data.examples import Example, Source
from gauss_vit.data.file_reading import read_member, sizes
from gauss_vit.data.image_sizes import size_in_file
from gauss_vit.data.sources import class_list, folder_layout, how_to_get
from gauss_vit.data.sources.folder_listing import Lister, contents
from gauss_vit.data.sources.mask_classes import MaskClasses, padding_targets
from gauss_vit.data.sources.subsets import open_slice
from gauss_vit.errors import DataError
from gauss_vit.files import FileSet, is_remote
from gauss_vit.palette import Palette

IMAGES, MASKS = "images", "masks"
Pairs = Sequence[tuple[str, str]]

_NUM_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class MaskFolderSource:
    """One split of a folder of images and masks.

    Attributes:
      root: the folder that `data.data_dir` names.
      split: "all", or the split whose folders they are in.
      pairs: paths of each image and its mask, relative to the root.
      classes: what the masks hold.
      max_pixels: larger images and masks are refused.
      digest: sixteen hexadecimal digits that depend on the files, their order and what masks hold.
    """

    root: Path
    split: str
    pairs: Pairs
    classes: MaskClasses
    max_pixels: int
    digest: str

    @property
    def class_names(self) -> tuple[str, ...]:
        """One for each class index."""
        return self.classes.names

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.classes.names)

    @property
    def palette(self) -> Palette:
        """One colour for each class index."""
        return self.classes.palette

    @property
    def padding_targets(self) -> MaskTargets:
        """A mask of zeros."""
        return padding_targets()

    def file_set(self) -> FileSet:
        """Reads the sizes of images and masks; their names are relative to the root.

        Raises:
          DataError: DATA-DECODE, a file is missing.
        """
        files = [file for pair in self.pairs for file in pair]
        return FileSet.of(zip(files, sizes(self.root, files), strict=True))

    def __len__(self) -> int:
        """Number of images."""
        return len(self.pairs)

    def image_size(self, index: int, *, max_pixels: int) -> tuple[int, int]:
        """Reads the (height, width) in pixels of an upright image; the mask is left alone.

        Raises:
          DataError: it cannot be read, or has more pixels than `max_pixels`.
        """
        return size_in_file(self.root / self.pairs[index][0], max_pixels=max_pixels)

    def __repr__(self) -> str:
        """Split, size and digest: the same wherever the folder is."""
        return f"MaskFolderSource(split={self.split!r}, num_examples={len(self)}, files={self.digest!r})"

    def __getitem__(self, index: int) -> Example:
        """Reads an image and its mask.

        Raises:
          IndexError: index is not in 0..len-1.
          DataError: as `read_member` and `MaskClasses.read`.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is not in 0..{len(self) - 1}")
        image, mask = (read_member(self.root, file) for file in self.pairs[index])
        image_name, mask_name = (f"{self.root / file} (index {index})" for file in self.pairs[index])
        targets = self.classes.read(mask, image=image, name=mask_name, max_pixels=self.max_pixels)
        return Example(image=image, targets=targets, name=image_name)


@dataclass(frozen=True, kw_only=True)
class MaskFolderDataSet:
    """A folder of images and masks with the splits that its folders make.

    Attributes:
      root: the folder.
      masks: name of the folders of masks.
      read_classes: reads what the masks hold.
      follow_links: whether links may lead out of the root.
      max_pixels: larger images and masks are refused.
      remedy: what to do where the folders are missing.
    """

    root: Path
    masks: str
    read_classes: Callable[[Path], MaskClasses]
    follow_links: bool
    max_pixels: int
    remedy: str

    def split_names(self) -> tuple[str, ...]:
        """Names the splits that have images and masks; "all" for a folder without splits.

        Raises:
          DataError: DATA-EMPTY, there is no such folder, or nothing in it that is known.
        """
        return tuple(self._folders())

    def open(self, split: str) -> Source:
        """Lists the images and masks of a split, or of a part of it.

        Raises:
          DataError: DATA-EMPTY, there is no such split, or nothing in it; DATA-MASK, images and masks do not belong
            together; DATA-LABEL, the list of classes is missing or wrong; DATA-DECODE, an entry with an image's suffix
            is not a regular file.
        """
        return open_slice(self._open_named, split)

    def open_whole(self) -> Source:
        """Lists the images and masks of a folder without splits, or with a single one.

        Raises:
          DataError: as `open`; DATA-EMPTY, the folder is already divided.
        """
        known = self._folders()
        if len(known) > 1:
            message = f"{self.root} is already divided, into {', '.join(known)}"
            raise DataError(message, do="add --config.data.split_protocol=official", code="DATA-EMPTY")
        return self._open_named(next(iter(known)))

    def _open_named(self, split: str) -> MaskFolderSource:
        known, split = self._folders(), folder_layout.canonical(split)
        if split not in known:
            message = f"{self.root} has no images with masks for the split {split}: it has {', '.join(known)}"
            do = f"use one of {', '.join(known)}, or a slice such as {next(iter(known))}[:90%]"
            raise DataError(message, do=do, code="DATA-EMPTY")
        classes = self.read_classes(self.root)
        images, masks = (self._by_stem(folder) for folder in known[split])
        pairs = _paired(images, masks, root=self.root, folders=known[split])
        return MaskFolderSource(
            root=self.root,
            split=split,
            pairs=pairs,
            classes=classes,
            max_pixels=self.max_pixels,
            digest=_digest(pairs, classes),
        )

    def _folders(self) -> Mapping[str, tuple[Path, Path]]:
        """Finds the folders of images and masks of every split.

        Raises:
          DataError: DATA-EMPTY, there are none.
        """
        found = _split_folders(self.root, masks=self.masks) if self.root.is_dir() else {}
        if found:
            return found
        what = f"Found: {contents(self.root)}" if self.root.is_dir() else "It is not a folder"
        message = f"{self.root} has no folders {IMAGES} and {self.masks} with the same splits, or none, in them. {what}"
        raise DataError(message, do=self.remedy, code="DATA-EMPTY")

    def _by_stem(self, folder: Path) -> dict[str, list[str]]:
        """Lists the images of a folder, relative to the root, by their paths in the folder without suffixes."""
        found: dict[str, list[str]] = {}
        for file in Lister(root=self.root, follow_links=self.follow_links).list_class(folder).files:
            stem = (self.root / file).relative_to(folder).with_suffix("")
            found.setdefault(str(stem), []).append(file)
        return found


def open_data_set(data: Data) -> MaskFolderDataSet:
    """Returns the folder of masks that a run reads.

    Raises:
      DataError: DATA-EMPTY, none is given.
    """
    return MaskFolderDataSet(
        root=local_root(data, example=f"--config.data.data_dir=roads, with {IMAGES}, {MASKS} and classes.txt in it"),
        masks=MASKS,
        read_classes=class_list.read_classes,
        follow_links=data.follow_links,
        max_pixels=data.max_pixels,
        remedy=how_to_get.remedy(data.name, data.data_dir),
    )


def local_root(data: Data, *, example: str) -> Path:
    """Returns the folder on this machine that `data.data_dir` names.

    Raises:
      DataError: DATA-EMPTY, it names none.
    """
    if data.data_dir == DEFAULT_DATA_DIR:
        message = f"data.name={data.name} reads a folder, and data.data_dir does not say which"
        raise DataError(message, do=f"add {example}", code="DATA-EMPTY")
    if is_remote(data.data_dir):
        message = f"data.data_dir={data.data_dir} is in a bucket; {data.name} is read from this machine"
        raise DataError(message, do="copy or mount it", code="DATA-EMPTY")
    return Path(data.data_dir).expanduser()


def _split_folders(root: Path, *, masks: str) -> Mapping[str, tuple[Path, Path]]:
    """Finds the folders of images and masks, by split."""
    if (root / IMAGES).is_dir() and (root / masks).is_dir():
        of_images, of_masks = (folder_layout.split_folders(root / folder) for folder in (IMAGES, masks))
        if not of_images and not of_masks:
            return {folder_layout.WHOLE: (root / IMAGES, root / masks)}
        return {split: (folder, of_masks[split]) for split, folder in of_images.items() if split in of_masks}
    around = {split: (path / IMAGES, path / masks) for split, path in folder_layout.split_folders(root).items()}
    return {split: pair for split, pair in around.items() if all(path.is_dir() for path in pair)}


def _paired(
    images: Mapping[str, list[str]], masks: Mapping[str, list[str]], *, root: Path, folders: tuple[Path, Path]
) -> Pairs:
    """Returns each image with its mask, in the order of the images.

    Raises:
      DataError: DATA-EMPTY, there are no images; DATA-MASK, an image or mask is alone, or several share a name.
    """
    of_images, of_masks = folders
    if not images:
        message = f"no images under {of_images}. Found: {contents(of_images)}"
        raise DataError(message, do="put the images there", code="DATA-EMPTY")
    repeated = [files for kind in (images, masks) for files in kind.values() if len(files) > 1]
    unmasked, unseen = (
        [kind[stem][0] for stem in kind if stem not in other] for kind, other in ((images, masks), (masks, images))
    )
    problems = (
        [f"{root / first} and {root / second} have one name" for first, second, *_ in repeated]
        + [f"{root / image} has no mask of its name in {of_masks}" for image in unmasked]
        + [f"{root / mask} has no image of its name in {of_images}" for mask in unseen]
    )
    if problems:
        more = f"; {len(problems) - _NUM_SHOWN:,} more such files" if len(problems) > _NUM_SHOWN else ""
        do = f"give each image one mask of its name, such as {IMAGES}/a.jpg and {of_masks.name}/a.png"
        raise DataError("; ".join(problems[:_NUM_SHOWN]) + more, do=do, code="DATA-MASK")
    return tuple((files[0], masks[stem][0]) for stem, files in images.items())


def _digest(pairs: Pairs, classes: MaskClasses) -> str:
    """Hashes the names of the files, in order, and what the masks hold."""
    state = hashlib.sha256(repr((classes.names, classes.class_of_value, classes.class_of_color)).encode())
    for pair in pairs:
        for name in pair:
            state.update(os.fsencode(name) + b"\0")
    return state.hexdigest()[:16]
