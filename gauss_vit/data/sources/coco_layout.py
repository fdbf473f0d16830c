"""Finds annotation files in COCO's format and the folders of their images, by split.

COCO's own layout is known by its names. Of a user's own folder, the names of files and folders say what they are:

    annotations/instances_train.json, train/*.jpg     annotations/train.json, images/train/*.jpg
    train/_annotations.coco.json, train/*.jpg         annotations.json, images/*.jpg (no splits)
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gauss_vit.data.sources import folder_layout
from gauss_vit.data.sources.folder_listing import contents
from gauss_vit.errors import DataError

ANNOTATIONS, IMAGES = "annotations", "images"
_YEAR = 2017
_COCO_SPLITS = {"train": "train", "validation": "val"}
_PREFERRED = "instances"
"""First word of the files of objects, beside those of captions and key points."""


@dataclass(frozen=True, kw_only=True)
class SplitFiles:
    """The files of a split.

    Attributes:
      annotations: the annotation file.
      folders: where its images may be, the likeliest first.
    """

    annotations: Path
    folders: tuple[Path, ...]

    def image_folder(self, file_name: str) -> Path:
        """Finds the folder that holds an image.

        Raises:
          DataError: DATA-EMPTY, none does.
        """
        for folder in self.folders:
            if (folder / file_name).is_file():
                return folder
        tried = ", ".join(map(str, self.folders[:4]))
        message = f"{self.annotations} lists {file_name}, which is not in {tried}"
        raise DataError(message, do="put the images there", code="DATA-EMPTY")


def coco_splits(root: Path) -> Mapping[str, SplitFiles]:
    """Finds the splits of COCO 2017 as it is downloaded."""
    found = {
        split: SplitFiles(
            annotations=root / ANNOTATIONS / f"instances_{name}{_YEAR}.json", folders=(root / f"{name}{_YEAR}",)
        )
        for split, name in _COCO_SPLITS.items()
    }
    return {split: files for split, files in found.items() if files.annotations.is_file()}


def folder_splits(root: Path) -> Mapping[str, SplitFiles]:
    """Finds the splits of a user's own folder; "all" is the one of an annotation file that names none.

    Raises:
      DataError: DATA-EMPTY, a split has several annotation files.
    """
    found: dict[str, list[Path]] = {}
    for folder in (root / ANNOTATIONS, root):
        for path in _entries(folder, suffix=".json"):
            found.setdefault(_split_of(path.stem) or folder_layout.WHOLE, []).append(path)
    for folder in _folders(root):
        split = _split_of(folder.name)
        if split is not None and split not in found:
            found[split] = [path for inner in (folder, folder / ANNOTATIONS) for path in _entries(inner, ".json")]
    return {
        split: SplitFiles(annotations=_only(split, paths), folders=_image_folders(root, split, paths[0]))
        for split, paths in sorted(found.items(), key=lambda item: _rank(item[0]))
        if paths
    }


def nothing_found(root: Path, *, remedy: str) -> DataError:
    """Returns the error that a folder has no annotation file."""
    what = f"Found: {contents(root)}" if root.is_dir() else "It is not a folder"
    return DataError(f"{root} has no annotation file in COCO's format. {what}", do=remedy, code="DATA-EMPTY")


def _only(split: str, paths: Sequence[Path]) -> Path:
    """The annotation file of a split; among those of several kinds, that of objects.

    Raises:
      DataError: DATA-EMPTY, there are several.
    """
    preferred = [path for path in paths if path.stem.startswith(_PREFERRED)] or list(paths)
    if len(preferred) == 1:
        return preferred[0]
    shown = ", ".join(map(str, preferred[:3]))
    do = "keep one of them there, or name the splits in them: train.json, val.json"
    raise DataError(f"the split {split} has several annotation files: {shown}", do=do, code="DATA-EMPTY")


def _image_folders(root: Path, split: str, annotations: Path) -> tuple[Path, ...]:
    """Where the images of a split may be: in folders of its name, else beside the annotations or in the root."""
    folders = (*_folders(root / IMAGES), *_folders(root))
    named = [folder for folder in folders if _split_of(folder.name) == split]
    inside = [folder / IMAGES for folder in named]
    candidates = (*inside, *named, annotations.parent / IMAGES, annotations.parent, root / IMAGES, root)
    return tuple(dict.fromkeys(folder for folder in candidates if folder.is_dir()))


def _split_of(name: str) -> str | None:
    """The split that a word of a name means.

    >>> _split_of("instances_val2017"), _split_of("annotations")
    ('validation', None)
    """
    words = re.findall("[a-z]+", name.lower())
    return next((split for split, names in folder_layout.SPLIT_NAMES.items() if set(words) & set(names)), None)


def _rank(split: str) -> int:
    known = tuple(folder_layout.SPLIT_NAMES)
    return known.index(split) if split in known else len(known)


def _entries(folder: Path, suffix: str) -> list[Path]:
    """The files of a folder with a suffix, by name; hidden ones are not meant."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.glob(f"*{suffix}") if path.is_file() and not path.name.startswith("."))


def _folders(root: Path) -> Iterator[Path]:
    """The folders in a folder, by name."""
    return iter(sorted(path for path in root.iterdir() if path.is_dir())) if root.is_dir() else iter(())
