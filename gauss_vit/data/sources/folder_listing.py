"""Lists the class folders and image files of a folder of images, in the same order on every machine.

Order is that of torchvision's ImageFolder: classes by name, in a class the folders by path, in a folder the files by
name, all in byte order. Only names are read, so a million files take seconds on a local disk.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gauss_vit.data.images.image import SUFFIXES
from gauss_vit.errors import DataError

NUM_SHOWN = 5
JUNK_FOLDERS = frozenset(
    ("__macosx", "@eadir", "#recycle", "$recycle.bin", "lost+found", "system volume information", "__pycache__")
)
"""Folders, in small letters, that archives and file systems make; at any depth they are as good as hidden."""


class OutsideError(DataError):
    """A path leads out of the data folder, where links are not followed."""

    default_code = "DATA-DECODE"


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The images below a class folder.

    Attributes:
      files: paths relative to `root`, in order.
      num_ignored: number of files that are hidden or do not have the suffix of an image.
    """

    files: tuple[str, ...]
    num_ignored: int


@dataclass(frozen=True, kw_only=True)
class Lister:
    """Lists class folders, and keeps track of files to find one that is in two classes.

    Attributes:
      root: the folder that holds everything.
      follow_links: whether links may lead out of it.
      seen: the path of every listed file, by inode.
    """

    root: Path
    follow_links: bool
    seen: dict[int, str] = field(default_factory=dict)

    def class_folders(self, parent: Path) -> tuple[str, ...]:
        """Lists the visible folders in a folder, in byte order, without those in `JUNK_FOLDERS`.

        Raises:
          DataError: a link leads out of the root; DATA-EMPTY, the folder is missing.
        """
        if not self.follow_links:
            require_inside(parent, root=self.root)
        entries = [entry for entry in _entries(parent) if not _is_hidden(entry.name)]
        return tuple(entry.name for entry in entries if self._is_folder(entry))

    def list_class(self, folder: Path) -> Listing:
        """Lists the images of a class, including those in folders below.

        Raises:
          DataError: DATA-DECODE, an entry with an image's suffix is not a regular file, or a link leads out of the
            root; DATA-LABEL, a file is also in another class.
        """
        files, num_ignored = [], 0
        for parent in sorted(self._folders(folder, ()), key=os.fsencode):
            for entry in _entries(Path(parent)):
                if self._is_image(entry):
                    files.append(self._listed(entry, folder))
                elif not self._is_folder(entry):
                    num_ignored += 1
        return Listing(files=tuple(files), num_ignored=num_ignored)

    def _folders(self, folder: Path, above: tuple[str, ...]) -> Iterator[str]:
        """Yields a folder and all visible ones below it; `above` are the real paths of the folders that hold it.

        Raises:
          DataError: a link leads back to a folder that holds it.
        """
        real = os.path.realpath(folder)
        if real in above:
            raise _irregular(str(folder), "the link leads back to a folder that holds it")
        yield str(folder)
        for name in self.class_folders(folder):
            yield from self._folders(folder / name, (*above, real))

    def _is_image(self, entry: os.DirEntry) -> bool:
        """Whether an entry is a visible regular file with an image's suffix.

        Raises:
          DataError: DATA-DECODE, it has an image's suffix and is not a file.
        """
        if entry.name.startswith(".") or not entry.name.lower().endswith(SUFFIXES):
            return False
        self._check_link(entry)
        try:
            is_file = entry.is_file()
        except OSError as error:
            raise _irregular(entry.path, error.strerror or str(error)) from error
        if not is_file:
            raise _irregular(entry.path, "it is a folder, a pipe, a socket or a link to nothing")
        return True

    def _is_folder(self, entry: os.DirEntry) -> bool:
        """Whether an entry is a folder, or a link to one that may be followed."""
        try:
            if not entry.is_dir():
                return False
        except OSError:
            return False
        self._check_link(entry)
        return True

    def _check_link(self, entry: os.DirEntry) -> None:
        """Refuses a link out of the root, unless links are followed.

        Raises:
          DataError: DATA-DECODE.
        """
        if not self.follow_links and entry.is_symlink():
            require_inside(entry.path, root=self.root)

    def _listed(self, entry: os.DirEntry, folder: Path) -> str:
        """Returns the path of an image relative to the root.

        Raises:
          DataError: DATA-LABEL, another class holds the same file.
        """
        path = os.path.relpath(entry.path, self.root)
        inode = entry.stat().st_ino if entry.is_symlink() else entry.inode()
        other = self.seen.setdefault(inode, path)
        in_class = os.path.relpath(folder, self.root) + os.sep
        if not other.startswith(in_class) and (self.root / other).samefile(entry.path):
            message = f"{self.root}: one file is in two classes: {other} and {path}"
            raise DataError(message, do="remove one of the two", code="DATA-LABEL")
        return path


def require_inside(path: str | os.PathLike[str], *, root: Path) -> None:
    """Refuses a path that links lead out of a folder.

    Raises:
      OutsideError: it does.
    """
    target, inside = os.path.realpath(path), os.path.realpath(root)
    if os.path.commonpath([target, inside]) != inside:
        message = f"{os.fspath(path)} leads out of the data folder, to {target}"
        raise OutsideError(message, do="set data.follow_links=True if you trust it")


def contents(folder: Path) -> str:
    """Names a few entries of a folder, for a message about what was found instead."""
    names = [entry.name for entry in _entries(folder)]
    more = f" and {len(names) - NUM_SHOWN} more" if len(names) > NUM_SHOWN else ""
    return (", ".join(names[:NUM_SHOWN]) + more) or "nothing"


def _is_hidden(folder: str) -> bool:
    return folder.startswith(".") or folder.lower() in JUNK_FOLDERS


def _entries(folder: Path) -> list[os.DirEntry]:
    """Lists a folder in byte order of the names.

    Raises:
      DataError: DATA-EMPTY, it is missing or unreadable.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        message = f"{folder} cannot be listed: {error.strerror}"
        raise DataError(message, do="give data.data_dir a readable folder of images", code="DATA-EMPTY") from error


def _irregular(path: str, reason: str) -> DataError:
    """The error for an entry with an image's suffix that is not a file."""
    return DataError(f"{path}: not a regular file: {reason}", do="remove it", code="DATA-DECODE")
