"""The layout of a folder of images: split folders by their usual names, folders of classes, or neither.

What is not understood is explained by an error whose remedy works as it is typed.
"""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from gauss_vit.data.images.image import SUFFIXES
from gauss_vit.data.sources.folder_listing import Lister, contents
from gauss_vit.errors import DataError

SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("val", "validation", "valid"),
    "test": ("test", "testing"),
}
"""Names of split folders in small letters; any case is understood."""

WHOLE = "all"
"""The only split of a folder whose folders are classes."""

_TO_SPLIT = "--config.data.split_protocol=paper"
_NUMBERED = re.compile(r"(?P<label>[^.]*[^._\-\d])(?P<mark>[._-])\d+\.\w+")


def split_folders(root: Path) -> dict[str, Path]:
    """Finds the split folders below a root, by split; none if the folders are classes.

    A class may be called "train": splits are meant where a second split is there, nothing else is, or the folder itself
    holds folders and no images.

    Raises:
      DataError: DATA-EMPTY, there is no such folder, or a split has two folders.
    """
    folders = _folders(root)
    found = {
        split: [root / folder for folder in folders if folder.lower() in names] for split, names in SPLIT_NAMES.items()
    }
    found = {split: paths for split, paths in found.items() if paths}
    num_found = sum(len(paths) for paths in found.values())
    if len(found) < 2 and num_found < len(folders) and not all(_is_divided(path) for path, *_ in found.values()):
        return {}
    for split, paths in found.items():
        if len(paths) > 1:
            message = f"{root} has two folders for the split {split}: {', '.join(path.name for path in paths)}"
            raise DataError(message, do="keep one of them there", code="DATA-EMPTY")
    return {split: paths[0] for split, paths in found.items()}


def canonical(split: str) -> str:
    """Returns the name of a split that is written as its folder may be.

    >>> canonical("Val")
    'validation'
    """
    return next((known for known, names in SPLIT_NAMES.items() if split.lower() in names), split)


def split_folder(root: Path, split: str) -> Path:
    """Returns the folder whose folders are the classes of a split.

    Raises:
      DataError: DATA-EMPTY, it is not there, or its images are not in folders of their classes.
    """
    if root.is_file():
        raise DataError(f"{root} is a file; archives are not read", do="unpack it first", code="DATA-EMPTY")
    known = split_folders(root)
    if not known:
        _require_classes_here(root)
        _require_sorted(root)
        if split == WHOLE:
            return root
        raise _not_divided(root, split)
    if split in known:
        return known[split]
    names = ", ".join(path.name for path in known.values())
    if len(known) == 1 and split != WHOLE:
        message = f"{root} has no split {split}: it has {names} only"
        do = f"add {_TO_SPLIT} to split it at random, or add a folder {root / SPLIT_NAMES.get(split, (split,))[0]}"
        raise DataError(message, do=do, code="DATA-EMPTY")
    message = f"{root} has no split {split}: it has {', '.join(known)}"
    raise DataError(message, do=f"use one of {', '.join(known)}", code="DATA-EMPTY")


def whole_split(root: Path) -> str:
    """Returns the split that holds all images: that of a folder of classes, or of one with a single split folder.

    Raises:
      DataError: DATA-EMPTY, the folder is already divided.
    """
    known = split_folders(root)
    if len(known) < 2:
        return next(iter(known), WHOLE)
    divided = ", ".join(path.name for path in known.values())
    remedy = "add --config.data.split_protocol=official, or put all classes into one folder"
    raise DataError(f"{root} is already divided, into {divided}", do=remedy, code="DATA-EMPTY")


def require_classes(parent: Path, folders: Sequence[str]) -> tuple[str, ...]:
    """Returns the class folders of a split.

    Raises:
      DataError: DATA-EMPTY, there are none; images that are there without classes are explained.
    """
    if folders:
        return tuple(folders)
    images = _images(parent)
    if images:
        do = _command_to_sort(parent, images) or f"put them into one folder for each class: {parent}/CLASS/*.jpg"
        raise _unsorted(parent, images, do=do)
    message = f"no images under {parent} (looked for {' '.join(SUFFIXES)} in class folders). Found: {contents(parent)}"
    raise DataError(message, do="put the images into one folder for each class", code="DATA-EMPTY")


def _require_classes_here(root: Path) -> None:
    """Refuses a folder that only wraps the real one, as unpacked archives do.

    Raises:
      DataError: DATA-EMPTY, with the folder to give instead.
    """
    folders = _folders(root)
    if len(folders) != 1 or not _is_divided(root / folders[0]):
        return
    inner = root / folders[0]
    message = f"{root} has only the folder {inner.name}, which has {_shown(_folders(inner))}"
    raise DataError(message, do=f"add --config.data.data_dir={shlex.quote(str(inner))}", code="DATA-EMPTY")


def _require_sorted(root: Path) -> None:
    """Refuses to take a split folder for a class, where the classes are in the names of its images.

    Raises:
      DataError: DATA-EMPTY, with the command that sorts them.
    """
    for folder in (root / name for name in _folders(root) if canonical(name) in SPLIT_NAMES):
        images = _images(folder)
        command = _command_to_sort(folder, images)
        if command:
            raise _unsorted(folder, images, do=command)


def _unsorted(parent: Path, images: Sequence[str], *, do: str) -> DataError:
    shown = f"{', '.join(images[:2])}, ..." if len(images) > 2 else ", ".join(images)
    return DataError(f"the images of {parent} are not in folders of classes: {shown}", do=do, code="DATA-EMPTY")


def _not_divided(root: Path, split: str) -> DataError:
    folders = require_classes(root, _folders(root))
    message = f"{root} has no split {split}: its folders are classes, {_shown(folders)}"
    remedy = f"add {_TO_SPLIT} to split it at random, or move the classes into {root / 'train'} and {root / 'val'}"
    return DataError(message, do=remedy, code="DATA-EMPTY")


def _is_divided(folder: Path) -> bool:
    """Returns whether a folder holds several folders, or one, and no images of its own."""
    return bool(_folders(folder)) and not _images(folder)


def _folders(folder: Path) -> tuple[str, ...]:
    return Lister(root=folder, follow_links=True).class_folders(folder)


def _images(folder: Path) -> list[str]:
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    return [name for name in names if name.lower().endswith(SUFFIXES) and not name.startswith(".")]


def _command_to_sort(folder: Path, images: Sequence[str]) -> str:
    """Returns the shell command that moves images such as cat.0.jpg and dog.0.jpg into folders of their classes.

    It is empty where their names do not carry classes.
    """
    matches = [_NUMBERED.fullmatch(name) for name in images]
    labels = {match["label"] for match in matches if match}
    marks = {match["mark"] for match in matches if match}
    if not all(matches) or len(labels) < 2 or len(marks) > 1:
        return ""
    (mark,) = marks
    endings = " ".join(sorted({f"*{Path(name).suffix}" for name in images}))
    label = "${f%%.*}" if mark == "." else f"${{f%{mark}*}}"
    move = f'for f in {endings}; do mkdir -p "{label}" && mv "$f" "{label}"; done'
    return f"sort them by their names: cd {shlex.quote(str(folder))} && {move}"


def _shown(names: Sequence[str], limit: int = 5) -> str:
    return ", ".join(names[:limit]) + (", ..." if len(names) > limit else "")
