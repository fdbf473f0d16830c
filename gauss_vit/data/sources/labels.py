"""Reads `labels.json` in a folder of images: the names of its classes, or the order of their indices.

An object gives names to class folders, `{"n01440764": "tench"}`; the classes keep the byte order of their folders. An
array gives the order, `["cat", "dog"]`, with a name where an entry is a pair, `[["n01440764", "tench"], ...]`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from gauss_vit.data.file_reading import retry
from gauss_vit.errors import DataError
from gauss_vit.files import read_json

LABELS_FILE = "labels.json"


def class_names(root: Path, folders: Sequence[str]) -> dict[str, str]:
    """Reads the name of every class folder, in the order of the class indices.

    Args:
      root: the folder that may hold a labels.json.
      folders: the class folders in byte order.

    Raises:
      DataError: DATA-LABEL, the file cannot be read, or does not name every class folder exactly once.
    """
    path = root / LABELS_FILE
    if not path.exists():
        return {folder: folder for folder in folders}
    content = _content(path)
    pairs = _pairs(content, path=path)
    counts = Counter(folder for folder, _ in pairs)
    named, found = set(counts), set(folders)
    problems = (
        ("names twice", sorted(folder for folder, count in counts.items() if count > 1)),
        ("does not name", sorted(found - named)),
        ("names classes without a folder:", sorted(named - found)),
    )
    for problem, concerned in problems:
        if concerned:
            raise _wrong(path, f"{problem} {_shown(concerned)}")
    names = dict(pairs)
    return names if isinstance(content, list) else {folder: names[folder] for folder in folders}


def refuse_in_splits(root: Path, splits: Iterable[Path]) -> None:
    """Refuses a labels.json in a split folder, where it is not read: all splits have the classes of one.

    Raises:
      DataError: DATA-LABEL, there is one.
    """
    for path in (split / LABELS_FILE for split in splits):
        if path.exists():
            place = root / LABELS_FILE
            do = f"remove it: {place} is read" if place.exists() else f"move it to {place}"
            raise DataError(f"{path} is not read, because all splits have the same classes", do=do, code="DATA-LABEL")


def _pairs(content: list | tuple, *, path: Path) -> list[tuple[str, str]]:
    """The class folders and names in the order of the file.

    Raises:
      DataError: DATA-LABEL, the file has another form.
    """
    entries = [(entry, entry) if isinstance(entry, str) else entry for entry in content]
    for entry in entries:
        if not isinstance(entry, list | tuple) or [type(part) for part in entry] != [str, str]:
            raise _wrong(path, "is neither an object of names nor an array of class folders or [folder, name] pairs")
    return [(folder, name) for folder, name in entries]


def _content(path: Path) -> list | tuple:
    """Decodes the file: a list, or an object as a tuple of pairs, in which repeated keys stay visible.

    Raises:
      DataError: the file cannot be read; DATA-LABEL, it is not JSON.
    """
    try:
        content = retry(lambda: read_json(path, pairs=tuple))
    except ValueError as error:
        raise _wrong(path, f"is not valid JSON: {error}") from error
    except OSError as error:
        raise _wrong(path, f"cannot be read: {error.strerror or error}") from error
    return content if isinstance(content, list | tuple) else [content]


def _wrong(path: Path, message: str) -> DataError:
    return DataError(f"{path} {message}", do="correct or remove it", code="DATA-LABEL")


def _shown(names: Sequence[str], limit: int = 5) -> str:
    """The first few of many names."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
