"""Result files: arrays, JSON records, figures and texts, each written whole or not at all."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import numpy as np
from matplotlib.figure import Figure

from gauss_vit.errors import ConfigError, StorageError
from gauss_vit.files import replacing
from gauss_vit.plots.canvas import FileFormat, encode
from gauss_vit.waiting import announced

FigureFormats = tuple[FileFormat, ...]
DEFAULT_FORMATS: FigureFormats = ("png", "pdf")


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


def parse_formats(text: str) -> FigureFormats:
    """Reads the formats of figures, separated by commas.

    Raises:
      ConfigError: a format is unknown, or there is none.

    >>> parse_formats("svg,png,png")
    ('svg', 'png')
    """
    words = tuple(dict.fromkeys(word.strip().lower() for word in text.split(",")))
    known: FigureFormats = get_args(FileFormat)
    unknown = ", ".join(word for word in words if word not in known) or "nothing"
    formats = tuple(each for word in words for each in known if each == word)
    if len(formats) != len(words):
        raise ConfigError(f"--format takes {', '.join(known)} and got {unknown}", do="write --format=png,pdf")
    return formats


def file_names(path: Path, *parts: str, formats: FigureFormats) -> str:
    """Names the files of a result, and the figures of several, in the line that a user reads.

    >>> file_names(Path("out/a"), "npz", "json", "_rows", formats=("png",))
    'out/a.npz .json _rows .png'
    """
    words = [part if part.startswith("_") else f".{part}" for part in (*parts, *formats)]
    return f"{path}{' '.join(words)}"


def write_figures(path: Path, figure: Figure, *, formats: FigureFormats = DEFAULT_FORMATS) -> None:
    """Writes a figure as PATH.png and PATH.pdf, or in other formats.

    Raises:
      StorageError: a file cannot be written.
    """
    with announced(f"drawing {path.name}"):
        for file_format in formats:
            write_bytes(suffixed(path, file_format), encode(figure, file_format))


def write_text(path: Path, text: str) -> None:
    """Writes a text file in UTF-8; undecodable bytes of names are escaped.

    Raises:
      StorageError: the file cannot be written.
    """
    write_bytes(path, text.encode(errors="backslashreplace"))


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
            f"cannot write {path}: {error.strerror or error}",
            do="free the storage, or choose a folder that you may write",
        ) from error
