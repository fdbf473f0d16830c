"""Reads files safely: never from a pipe, which would block, and again after a transient error of a network disk."""

import errno
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from gauss_vit.errors import DataError

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


def read_file(path: Path) -> bytes:
    """Reads a regular file, with up to three more tries after transient errors.

    Raises:
      DataError: DATA-DECODE, not a regular file (a pipe would block forever), missing or unreadable.
    """
    try:
        return retry(lambda: _read_regular(path))
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{path}: {reason}", do="make it readable or remove it", code="DATA-DECODE") from error


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


def _read_regular(path: Path) -> bytes:
    """Opens without waiting, so that a pipe put in the place of an image is noticed and not waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise DataError(f"{path}: not a regular file", do="remove it", code="DATA-DECODE")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)
