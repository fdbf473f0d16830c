"""Reads npz files, whose claims are checked before memory is taken: a megabyte can expand to gigabytes.

An npz file is a zip archive of arrays. Its directory says what each array takes, and each array begins with its shape
and type. Both have to agree, and the sum must be small, or not much larger than the file.

Source: numpy.lib.format, "Format Version 1.0".
"""

import io
import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from gauss_vit.errors import DataError
from gauss_vit.files import open_regular

_LARGEST_EXPANSION = 512 * 2**20
_LONGEST_READ = 2**20
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_KINDS = "biufU"
_SUFFIX = ".npy"
# A header that does not parse is a SyntaxError or a TokenError; an unknown version of zip, NotImplementedError.
_DAMAGE = (
    OSError,
    ValueError,
    EOFError,
    SyntaxError,
    tokenize.TokenError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Reads the arrays of an npz file by name.

    Raises:
      DataError: the file cannot be read, is damaged, holds other things than arrays of numbers and texts, or expands to
        more than the limit.
    """
    with _opened(path) as archive:
        members = archive.infolist()
        _check_sizes(members, size=path.stat().st_size)
        return {member.filename.removesuffix(_SUFFIX): _read(archive, member) for member in members}


def array_names(path: Path) -> frozenset[str]:
    """Lists the names of the arrays of an npz file, without reading them.

    Raises:
      DataError: the file cannot be read, or is damaged.
    """
    with _opened(path) as archive:
        return frozenset(name.removesuffix(_SUFFIX) for name in archive.namelist())


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Opens the archive; damage that is met within the block is said in one line."""
    try:
        with open_regular(path) as file, zipfile.ZipFile(_ShortReads(file)) as archive:
            yield archive
    except _DAMAGE as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise DataError(f"{path} cannot be read: {reason}", do="remove it, or write it again") from error


class _ShortReads(io.BufferedReader):
    """A file of which little is read at once: an archive's directory is, and a million entries take a gigabyte."""

    def read(self, size: int | None = -1) -> bytes:
        """Reads some bytes; by default as many as are allowed."""
        if size is not None and size > _LONGEST_READ:
            raise ValueError(f"its directory takes {size:,} bytes, and the limit is {_LONGEST_READ:,}")
        return super().read(_LONGEST_READ if size is None or size < 0 else size)


def _check_sizes(members: list[zipfile.ZipInfo], *, size: int) -> None:
    expanded, limit = sum(member.file_size for member in members), size + _LARGEST_EXPANSION
    if expanded > limit:
        raise ValueError(f"it expands to {expanded:,} bytes, and the limit is {limit:,}")
    for member in members:
        if member.flag_bits & 1 or member.compress_type not in _COMPRESSIONS or not member.filename.endswith(_SUFFIX):
            raise ValueError(f"its member {member.filename!r} is not an array")


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    needed = _needed_bytes(archive, member)
    if needed != member.file_size:
        raise ValueError(f"its member {member.filename!r} needs {needed:,} bytes and has {member.file_size:,}")
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _needed_bytes(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> int:
    """Returns the bytes of a member by the shape and type in its header; nothing is allocated for them."""
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"its arrays are of version {version}")
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(file)
        if dtype.kind not in _KINDS or not dtype.itemsize or any(length < 0 for length in shape):
            raise ValueError(f"it holds {dtype} of shape {shape}, not numbers or texts")
        return file.tell() + math.prod(shape) * dtype.itemsize
