"""Atomic replacement of files: a reader sees the old content or the new one, never part of it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path


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
