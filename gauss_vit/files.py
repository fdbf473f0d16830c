"""Files: how they are written, so that no reader sees part of one, how they are read, and their identity.

A folder may come from somebody else, with a link in the place of a log or of a temporary file, a pipe in the place of a
record, or a record of gigabytes. What this package writes there never goes through a link, and nobody but its owner may
write to it, whatever the umask. What it reads is a regular file, below a limit that is known before memory is taken.
"""

import contextlib
import errno
import glob
import hashlib
import io
import json
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

LARGEST_JSON = 16 * 2**20
"""Limit of a JSON file in bytes; decoded, it can take twenty times as much. The largest in use hold 2 MB."""

_LONGEST_LINE = 2**20
_OWNER_WRITES = 0o644
_ABANDONED_SECONDS = 3600.0
_NO_FSYNC = (errno.EINVAL, errno.ENOTSUP)


@dataclass(frozen=True, kw_only=True)
class FileSet:
    """The names and sizes of some files, in short: sets that are equal have the same names and sizes in the same order.

    Attributes:
      num_files: number of files.
      num_bytes: sum of their sizes.
      digest: sixteen hexadecimal digits that depend on every name and size.
    """

    num_files: int
    num_bytes: int
    digest: str

    def difference(self, other: "FileSet") -> str:
        """Says how another set, which is not equal, differs from this one.

        >>> FileSet.of([("a", 3), ("b", 4)]).difference(FileSet.of([("a", 3)]))
        '1 file of 3 bytes instead of 2 files of 7 bytes'
        """
        if (self.num_files, self.num_bytes) == (other.num_files, other.num_bytes):
            return f"other names or sizes of its {self} in all"
        return f"{other} instead of {self}"

    def __str__(self) -> str:
        return f"{self.num_files:,} file{'' if self.num_files == 1 else 's'} of {self.num_bytes:,} bytes"

    @classmethod
    def of(cls, files: Iterable[tuple[str, int]]) -> "FileSet":
        """Summarises files, given as pairs of a name and a size in bytes."""
        state, num_files, num_bytes = hashlib.sha256(), 0, 0
        for name, size in files:
            state.update(os.fsencode(name) + b"\0%d\0" % size)
            num_files, num_bytes = num_files + 1, num_bytes + size
        return cls(num_files=num_files, num_bytes=num_bytes, digest=state.hexdigest()[:16])


def is_remote(name: str) -> bool:
    """Returns whether a name is that of something in a bucket, rather than a path on this machine.

    >>> is_remote("gs://bucket/run"), is_remote("runs/a")
    (True, False)
    """
    return re.match(r"[a-z][a-z0-9+.-]*://", name) is not None


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside a file, and renames what the block has written there to the file.

    If the block fails, what it has written is removed, and the file stays as it was. The temporary file is there from
    the beginning, empty, by a name that no other process takes. One that a killed process has left is removed when it
    has not been written for an hour.

    Args:
      path: the file to write or to replace; its folder exists.

    Raises:
      OSError: the temporary file cannot be made or renamed.
    """
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.new"):
        with contextlib.suppress(OSError):
            if time.time() - left.lstat().st_mtime > _ABANDONED_SECONDS:
                left.unlink()
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_WRITES))
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def sync_tree(folder: Path) -> None:
    """Waits until a folder with everything below it is on the disk; its own entry in its parent is not included.

    Raises:
      OSError: the disk fails, or something below cannot be opened.
    """
    for parent, _, names in os.walk(folder, topdown=False, onerror=_raise):
        for name in names:
            _sync(Path(parent, name))
        _sync(Path(parent))


def sync_entries(folder: Path) -> None:
    """Waits until the entries of a folder are on the disk: what is in it, by which name.

    Raises:
      OSError: the disk fails.
    """
    _sync(folder)


def make_folder(folder: Path) -> None:
    """Makes a folder with its parents where they are missing, and waits until they are on the disk.

    Raises:
      OSError: one cannot be made.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in reversed(missing):
        # A folder may allow new entries to people who may not list it.
        with contextlib.suppress(PermissionError):
            _sync(path.parent)


def append_text(path: Path) -> io.TextIOWrapper:
    """Opens a text file in UTF-8 to append to it; a missing one is made.

    Raises:
      OSError: it cannot be opened, or is a link, a pipe or another thing than a file.
    """
    return open(path, "a", encoding="utf-8", opener=_open_own)


def append_bytes(path: Path) -> io.FileIO:
    """Opens a file without a buffer to read it and to append to it; a missing one is made.

    Raises:
      OSError: it cannot be opened, or is a link, a pipe or another thing than a file.
    """
    return io.FileIO(str(path), "a+", opener=_open_own)


def open_regular(path: Path) -> io.FileIO:
    """Opens a file without a buffer to read it.

    Raises:
      OSError: it cannot be opened, or is no regular file.
    """
    return io.FileIO(str(path), opener=_open_regular)


def read_bytes(path: Path, *, limit: int) -> bytes:
    """Reads a file whole.

    Raises:
      OSError: it cannot be read, is no regular file, or has more bytes than the limit.
    """
    with io.BufferedReader(open_regular(path)) as file:
        is_small = os.fstat(file.fileno()).st_size <= limit
        content = file.read(limit + 1) if is_small else b""
    if is_small and len(content) <= limit:
        return content
    raise OSError(errno.EFBIG, f"larger than the limit of {limit:,} bytes", str(path))


def read_json(
    path: Path, *, limit: int = LARGEST_JSON, pairs: Callable[[list[tuple[str, object]]], object] = dict
) -> object:
    """Reads a JSON file.

    Args:
      path: path of the file.
      limit: most bytes that it may have.
      pairs: function that turns the keys and values of an object into its value.

    Raises:
      OSError: it cannot be read, is no regular file, or has more bytes than the limit.
      ValueError: it is not JSON.
    """
    try:
        return json.loads(read_bytes(path, limit=limit), object_pairs_hook=pairs)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def read_lines(path: Path) -> Iterator[str]:
    """Yields the lines of a text file in UTF-8, with their ends; parts of a line that is too long come one by one.

    Raises:
      OSError: it cannot be read, or is no regular file.
    """
    with open(path, encoding="utf-8", errors="replace", opener=_open_regular) as file:
        yield from iter(lambda: file.readline(_LONGEST_LINE), "")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems have no fsync of a folder; they write entries through.
        if error.errno not in _NO_FSYNC or not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise
    finally:
        os.close(descriptor)


def _raise(error: OSError) -> None:
    raise error


def _open_own(path: str, flags: int) -> int:
    """Opens a file to write to it, but follows no link in its last part."""
    try:
        return _open_regular(path, flags | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a link, which is not written through", path) from error
        raise


def _open_regular(path: str, flags: int) -> int:
    """Opens a regular file; does not wait for the other end of a pipe."""
    descriptor = os.open(path, flags | os.O_NONBLOCK, _OWNER_WRITES)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "not a regular file", path)
