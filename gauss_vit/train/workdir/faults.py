"""Faults of the storage under a run, as errors that the user can correct."""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from gauss_vit.errors import storage_error

_OF_STORAGE = frozenset((errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ESTALE))


@contextlib.contextmanager
def storage_faults(workdir: Path) -> Iterator[None]:
    """Raises a StorageError where a block fails because of the disk, or of a file of the run.

    The parts of a run name the fault of their own files; this is for all the others, such as a listing of a folder.

    Raises:
      StorageError: the system refused something.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _OF_STORAGE and not _is_within(error.filename, workdir):
            raise
        raise storage_error(error, f"{error.filename or f'a file of {workdir}'} cannot be read or written") from error


def _is_within(name: object, workdir: Path) -> bool:
    return isinstance(name, str) and Path(name).absolute().is_relative_to(workdir.absolute())
