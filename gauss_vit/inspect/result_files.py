"""Result files: arrays, JSON records, figures and texts, each written whole or not at all, and arrays read back."""

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from gauss_vit.errors import DataError, StorageError
from gauss_vit.files import replacing
from gauss_vit.plots.canvas import FileFormat, encode

_FIGURE_FORMATS: tuple[FileFormat, ...] = ("png", "pdf")


def suffixed(path: Path, suffix: str) -> Path:
    """Adds a suffix; unlike `with_suffix` it keeps dots in the name."""
    return path.with_name(f"{path.name}.{suffix}")


def write_record(path: Path, record: Mapping[str, object]) -> None:
    """Writes a JSON object.

    Raises:
      StorageError: the file cannot be written.
      ValueError: a number is not finite.
    """
    write_text(path, json.dumps(record, indent=2, allow_nan=False) + "\n")


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes named arrays as a compressed npz file.

    Raises:
      StorageError: the file cannot be written.
    """
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    write_bytes(path, file.getvalue())


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Reads an npz file.

    Raises:
      DataError: the file cannot be read, is damaged, or is not an npz file.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    # A single .npy array is a TypeError, as it is not a context manager.
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}", do="remove it, or write it again") from error


def write_figures(path: Path, figure: Figure) -> None:
    """Writes a figure as PATH.png and PATH.pdf.

    Raises:
      StorageError: a file cannot be written.
    """
    for file_format in _FIGURE_FORMATS:
        write_bytes(suffixed(path, file_format), encode(figure, file_format))


def write_text(path: Path, text: str) -> None:
    """Writes a text file in UTF-8.

    Raises:
      StorageError: the file cannot be written.
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file, and its folder if it is missing.

    Raises:
      StorageError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {error.strerror or error}", do="choose an --out that you may write"
        ) from error
