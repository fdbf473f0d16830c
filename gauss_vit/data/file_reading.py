"""Reads files safely: never from a pipe, which would block, and again after a transient error of a network disk.

The sizes of many files are asked for from several threads at once, for a network disk takes its time for each.
"""

import errno
import io
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from gauss_vit.errors import DataError
from gauss_vit.files import open_regular, read_bytes

Result = TypeVar("Result")

RETRY_PAUSES_SECONDS = (0.1, 0.5, 2.0)
TRANSIENT = frozenset(
    {
        errno.EIO,
        errno.EAGAIN,
        errno.EINTR,
        errno.ESTALE,
        errno.ETIMEDOUT,
        errno.ECONNRESET,
        errno.ENOTCONN,
        errno.EHOSTDOWN,
    }
)
"""Errors of network disks that may be gone at the next try."""

LARGEST_FILE = 256 * 2**20
"""Limit of an image in bytes, before its header is read; a JPEG of the most pixels that are accepted has a third."""

_NUM_THREADS = 16


def read_file(path: Path) -> bytes:
    """Reads a regular file, with up to three more tries after transient errors.

    Raises:
      DataError: DATA-DECODE, not a regular file (a pipe would block forever), too large, missing or unreadable.
    """
    return _read(path, lambda: read_bytes(path, limit=LARGEST_FILE))


def read_start(path: Path, num_bytes: int) -> bytes:
    """Reads the first bytes of a regular file, or all of a shorter one.

    Raises:
      DataError: as `read_file`.
    """

    def read() -> bytes:
        with open_regular(path) as file:
            return io.BufferedReader(file).read(num_bytes)

    return _read(path, read)


def _read(path: Path, read: Callable[[], bytes]) -> bytes:
    """Reads of a file, with more tries after transient errors.

    Raises:
      DataError: DATA-DECODE, it cannot be read.
    """
    try:
        return retry(read)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{path}: {reason}", do="make it readable or remove it", code="DATA-DECODE") from error


def read_member(root: Path, name: str) -> bytes:
    """Reads a file of a data folder as `read_file` does, and says so if the whole folder is gone.

    Args:
      root: the folder.
      name: path of the file, relative to the folder.

    Raises:
      DataError: as `read_file`; DATA-GONE, the folder is not there any more.
    """
    path = root / name
    try:
        return read_file(path)
    except DataError as error:
        if root.is_dir():
            raise
        message = f"the data folder {root} has disappeared while {path.name} was to be read"
        raise DataError(message, do="mount it and run the same command", code="DATA-GONE") from error


def sizes(root: Path, names: Sequence[str]) -> tuple[int, ...]:
    """Reads the sizes of files in bytes, in their order.

    Args:
      root: folder that holds them.
      names: paths relative to the folder, or absolute ones.

    Raises:
      DataError: DATA-DECODE, a file is missing.
    """
    length = max(1, -(-len(names) // _NUM_THREADS))
    parts = [names[start : start + length] for start in range(0, len(names), length)]
    with ThreadPoolExecutor(_NUM_THREADS) as pool:
        return tuple(size for part in pool.map(lambda some: _sizes(root, some), parts) for size in part)


def _sizes(root: Path, names: Sequence[str]) -> list[int]:
    try:
        return [(root / name).stat().st_size for name in names]
    except OSError as error:
        message = f"{error.filename}: {error.strerror}"
        raise DataError(message, do="restore it or remove it from the data set", code="DATA-DECODE") from error


def retry(call: Callable[[], Result]) -> Result:
    """Calls a function, and calls it again after growing pauses while it raises transient errors.

    Raises:
      OSError, RuntimeError: the error is not transient, or persists.
    """
    for pause in RETRY_PAUSES_SECONDS:
        try:
            return call()
        except (OSError, RuntimeError) as error:
            if not is_transient(error):
                raise
        time.sleep(pause)
    return call()


def is_transient(error: OSError | RuntimeError) -> bool:
    """Checks whether a second try may help; array_record raises RuntimeErrors with the system's message.

    >>> is_transient(RuntimeError(f"pread() failed: {os.strerror(errno.ESTALE)}; reading train.array_record"))
    True
    """
    if isinstance(error, OSError):
        return error.errno in TRANSIENT
    return any(os.strerror(number) in str(error) for number in TRANSIENT)
