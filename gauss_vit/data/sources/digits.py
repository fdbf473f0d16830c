"""The embedded data set: scikit-learn's handwritten digits, upscaled to 32 x 32 pixels in memory.

Source: UCI "Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak, 1998; CC BY 4.0), the 1,797 images that
scikit-learn distributes.
"""

import importlib.metadata
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image

from gauss_vit.batches import ClassTargets
from gauss_vit.data.config import Data
from gauss_vit.data.examples import Example, Source
from gauss_vit.data.sources.subsets import open_slice
from gauss_vit.errors import DataError
from gauss_vit.files import FileSet

SIZE_PX = 32
TEST_EVERY = 5
"""Every fifth image of the table, from the first on, is for testing."""

SPLITS = ("train", "test")
TABLE_FILE = "sklearn/datasets/data/digits.csv.gz"


@dataclass(frozen=True, kw_only=True)
class DigitsSource:
    """Grey PNG images of the digits 0..9: 1,437 for training and 360 for testing.

    Attributes:
      split: "train", "test", or "train+test" for all images in that order.
      table: what `read_table` returns.
      rows: place in the table of every example.
    """

    split: str
    table: UInt8[np.ndarray, "images 65"]
    rows: Int[np.ndarray, " examples"]

    @property
    def class_names(self) -> tuple[str, ...]:
        """The digits."""
        return tuple("0123456789")

    @property
    def num_classes(self) -> int:
        """Ten."""
        return len(self.class_names)

    @property
    def padding_targets(self) -> ClassTargets:
        """Class 0."""
        return ClassTargets(label=np.int32(0))

    def file_set(self) -> FileSet:
        """Reads the name and size of the file of the table."""
        return FileSet.of([(TABLE_FILE, table_path().stat().st_size)])

    def __len__(self) -> int:
        """Number of images."""
        return len(self.rows)

    def __repr__(self) -> str:
        """Split and size, which say everything about the table."""
        return f"DigitsSource(split={self.split!r}, num_examples={len(self)})"

    def __getitem__(self, index: int) -> Example:
        """Encodes one image.

        Raises:
          IndexError: index is not in 0..len-1.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is not in 0..{len(self) - 1}")
        row = int(self.rows[index])
        return Example(
            image=encode_png(self.table[row, :64].reshape(8, 8)),
            targets=ClassTargets(label=np.int32(self.table[row, 64])),
            name=f"digits {self.split} record {index} ({row:04d}.png)",
        )


@dataclass(frozen=True, kw_only=True)
class DigitsDataSet:
    """The digits with their two splits."""

    def split_names(self) -> tuple[str, ...]:
        """Names the splits."""
        return SPLITS

    def open(self, split: str) -> Source:
        """Reads the images of a split, or of a part of it.

        Raises:
          DataError: DATA-EMPTY, there is no such split; DATA-MISSING, scikit-learn is not installed.
        """
        return open_slice(_open_split, split)

    def open_whole(self) -> DigitsSource:
        """Reads all images, those for training first.

        Raises:
          DataError: DATA-MISSING, scikit-learn is not installed.
        """
        table = read_table()
        rows = np.concatenate([_rows(table, split) for split in SPLITS])
        return DigitsSource(split="+".join(SPLITS), table=table, rows=rows)


def open_data_set(data: Data) -> DigitsDataSet:
    """Returns the digits; nothing in `data` changes them."""
    del data
    return DigitsDataSet()


def _open_split(split: str) -> DigitsSource:
    """Reads the images of one of the two splits.

    Raises:
      DataError: DATA-EMPTY, there is no such split; DATA-MISSING, scikit-learn is not installed.
    """
    if split not in SPLITS:
        message = f"digits has no split {split}"
        raise DataError(message, do=f"use one of {', '.join(SPLITS)}, or a slice", code="DATA-EMPTY")
    table = read_table()
    return DigitsSource(split=split, table=table, rows=_rows(table, split))


def _rows(table: UInt8[np.ndarray, "images 65"], split: str) -> Int[np.ndarray, " examples"]:
    """The places in the table of a split's images."""
    is_test = np.arange(len(table)) % TEST_EVERY == 0
    return np.flatnonzero(is_test == (split == "test"))


def read_table() -> UInt8[np.ndarray, "images 65"]:
    """Reads the table that scikit-learn distributes: 64 grey levels in 0..16, row by row, and the label.

    It is read as a file of the distribution, since importing scikit-learn takes a second.

    Raises:
      DataError: DATA-MISSING, scikit-learn is not installed, or without its data.
    """
    try:
        return np.loadtxt(table_path(), delimiter=",", dtype=np.uint8)
    except (importlib.metadata.PackageNotFoundError, OSError) as error:
        message = f"the digits come with scikit-learn, whose table of them was not found: {error}"
        raise DataError(message, do="pip install 'gauss_vit[digits]'", code="DATA-MISSING") from error


def table_path() -> Path:
    """Finds the table in the distribution of scikit-learn.

    Raises:
      importlib.metadata.PackageNotFoundError: scikit-learn is not installed.
    """
    return Path(str(importlib.metadata.distribution("scikit-learn").locate_file(TABLE_FILE)))


def encode_png(grey: UInt8[np.ndarray, "8 8"]) -> bytes:
    """Encodes a grey image with levels 0..16 as a 32 x 32 PNG file with levels 0..255."""
    levels = (grey.astype(np.uint16) * 255 // 16).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(levels).resize((SIZE_PX, SIZE_PX), resample=Image.Resampling.BICUBIC).save(file, format="PNG")
    return file.getvalue()
