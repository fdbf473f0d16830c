"""Result files in a folder: arrays, records and figures, each whole or not there at all."""

import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from gauss_vit.errors import StorageError
from gauss_vit.plots.canvas import encode


def suffixed(path: Path, suffix: str) -> Path:
    """Adds a suffix; unlike `with_suffix` it keeps dots in the name."""
    return path.with_name(f"{path.name}.{suffix}")


def write_record(path: Path, record: Mapping[str, object]) -> None:
    """Writes a JSON object; a number that is not finite is an error of the caller.

    Raises:
      StorageError: the file cannot be written.
    """
    _write(path, (json.dumps(record, indent=2, allow_nan=False) + "\n").encode())


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes named arrays as an npz file.

    Raises:
      StorageError: the file cannot be written.
    """
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    _write(path, file.getvalue())


def write_scratch(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes named arrays as an npz file that will not stay; it is not compressed, which would take longer.

    Raises:
      StorageError: the file cannot be written.
    """
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    _write(path, file.getvalue())


def write_text(path: Path, text: str) -> None:
    """Writes a text file in UTF-8.

    Raises:
      StorageError: the file cannot be written.
    """
    _write(path, text.encode())


def write_animation(path: Path, content: bytes) -> None:
    """Writes the bytes of a moving picture.

    Raises:
      StorageError: the file cannot be written.
    """
    _write(path, content)


def write_figure(path: Path, figure: Figure) -> None:
    """Writes a figure as PDF where the path ends in .pdf, else as PNG.

    Raises:
      StorageError: the file cannot be written.
    """
    _write(path, encode(figure, "pdf" if path.suffix == ".pdf" else "png"))


def _write(path: Path, content: bytes) -> None:
    """Makes the folder, writes beside the file and renames, so that a reader never sees half a file."""
    fresh = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_bytes(content)
        fresh.replace(path)
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {error.strerror or error}", do="choose an --out that you may write"
        ) from error
