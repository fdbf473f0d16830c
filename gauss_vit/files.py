"""Files: their atomic replacement, so that no reader sees part of one, and the identity of many."""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


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


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside a file, and renames what the block has written there to the file.

    If the block fails, what it has written is removed, and the file stays as it was.

    Args:
      path: the file to write or to replace; its folder exists.

    Raises:
      OSError: the temporary file cannot be renamed.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
