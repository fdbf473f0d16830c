"""The embedded data set: scikit-learn's handwritten digits, upscaled and prepared like any other TFDS data set.

Source: UCI "Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak, 1998; CC BY 4.0), the 1,797 images that
scikit-learn distributes.
"""

import importlib.metadata
import io
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow_datasets.public_api as tfds
from jaxtyping import UInt8
from PIL import Image

from gauss_vit.data.sources.building import build_quietly
from gauss_vit.errors import DataError, StorageError

VERSION = "1.0.0"
SIZE_PX = 32
TEST_EVERY = 5
TABLE_FILE = "sklearn/datasets/data/digits.csv.gz"


class Digits(tfds.core.GeneratorBasedBuilder):
    """Grey 32 x 32 PNG images of the digits 0..9: 1,437 to learn from and 360 to test on."""

    VERSION = tfds.core.Version(VERSION)

    def _info(self) -> tfds.core.DatasetInfo:
        """What a record holds. Records keep the order of the table."""
        features = tfds.features.FeaturesDict(
            {
                "file_name": tfds.features.Text(),
                "image": tfds.features.Image(shape=(SIZE_PX, SIZE_PX, 1), encoding_format="png"),
                "label": tfds.features.ClassLabel(names=[str(digit) for digit in range(10)]),
            }
        )
        return tfds.core.DatasetInfo(
            builder=self,
            description="scikit-learn's 8 x 8 handwritten digits, upscaled to 32 x 32 (bicubic).",
            features=features,
            supervised_keys=("image", "label"),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        """Every fifth image of the table, from the first on, is for testing."""
        del dl_manager
        return {split: self._generate_examples(split) for split in ("train", "test")}

    def _generate_examples(self, split: str) -> Iterator:
        """The records of one split, with their place in the table as key."""
        table = read_table()
        for index in range(len(table)):
            if (index % TEST_EVERY == 0) == (split == "test"):
                grey = table[index, :64].reshape(8, 8)
                yield (
                    index,
                    {"file_name": f"{index:04d}.png", "image": encode_png(grey), "label": int(table[index, 64])},
                )


def read_table() -> UInt8[np.ndarray, " images 65"]:
    """The table that scikit-learn distributes: 64 grey levels in 0..16, row by row, and the label.

    It is read as a file of the distribution, since importing scikit-learn takes a second.

    Raises:
      DataError: scikit-learn is not installed, or without its data.
    """
    try:
        path = importlib.metadata.distribution("scikit-learn").locate_file(TABLE_FILE)
        return np.loadtxt(str(path), delimiter=",", dtype=np.uint8)
    except (importlib.metadata.PackageNotFoundError, OSError) as error:
        message = f"the table of the digits is not there: {error}"
        raise DataError(message, do="pip install scikit-learn", code="DATA-TFDS") from error


def encode_png(grey: UInt8[np.ndarray, "8 8"]) -> io.BytesIO:
    """A grey image with levels 0..16, as a 32 x 32 PNG file with levels 0..255."""
    levels = (grey.astype(np.uint16) * 255 // 16).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(levels).resize((SIZE_PX, SIZE_PX), resample=Image.Resampling.BICUBIC).save(file, format="PNG")
    file.seek(0)
    return file


def prepare_digits(data_dir: Path) -> Path:
    """Writes the data set below a TFDS folder, unless it is there, and returns the folder of its files.

    It is written aside and renamed into place, so that it is there completely or not at all, whoever else is doing the
    same or dies half way.

    Args:
      data_dir: the TFDS folder; created when missing.

    Raises:
      StorageError: the folder cannot be written.
      DataError: scikit-learn is missing.
    """
    target = data_dir / "digits" / VERSION
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".incomplete-", dir=target.parent))
        try:
            _write(aside)
            _move(aside / "digits" / VERSION, target=target)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        message = f"the digits cannot be written to {target.parent}: {error.strerror}"
        raise StorageError(message, do="give a writable data.data_dir") from error
    return target


def _write(data_dir: Path) -> None:
    """Prepares the data set in a folder of its own."""
    build_quietly(Digits(data_dir=data_dir, file_format="array_record"))


def _move(finished: Path, *, target: Path) -> None:
    """Puts the finished folder in place; where another process was first, its equal folder stays."""
    try:
        finished.rename(target)
    except OSError:
        if not target.is_dir():
            raise
