"""Reads TFDS data sets in array_record form, by index, without TensorFlow and without the network.

Only files of a prepared data set are read, never the code that prepared it. They may be in a bucket, such as one of
Google's (`gs://`).
"""

import bisect
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import tensorflow_datasets.public_api as tfds
from etils import epath
from jaxtyping import PyTree

from gauss_vit.data.config import Data, Targets
from gauss_vit.data.examples import Example, Source
from gauss_vit.data.file_reading import retry
from gauss_vit.data.images.header import MAX_PIXELS, read_header
from gauss_vit.data.sources.tfds_builder import file_instructions, open_builder
from gauss_vit.data.sources.tfds_objects import annotated
from gauss_vit.data.sources.tfds_targets import TargetReader, find_reader
from gauss_vit.errors import DataError
from gauss_vit.files import FileSet
from gauss_vit.palette import Palette

FILE_NAME_KEYS = ("file_name", "image/file_name", "image/filename", "id")
"""Features that hold the name of the image file, in this order."""


@runtime_checkable
class Records(Protocol):
    """What tfds returns for a split. Not annotated as a Sequence, whose elements a type checker would read."""

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        """The features of one record."""
        ...


@dataclass(frozen=True, kw_only=True)
class TfdsSource:
    """One split of a prepared TFDS data set.

    Attributes:
      full_name: data set, configuration and version, such as "imagenet2012/5.1.0".
      split: notation of the split, such as "train[:90%]".
      targets: what is learned from the records.
      records: one mapping of features for each example, with images and masks as encoded bytes.
      shards: shard files in the order of reading.
      shard_ends: for each shard, the index of the first example after it.
      reader: makes the targets of a record.
      file_name: name of the feature that names the image file; None if there is none.
    """

    full_name: str
    split: str
    targets: Targets
    records: Records
    shards: tuple[str, ...]
    shard_ends: tuple[int, ...]
    reader: TargetReader
    file_name: str | None

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name for each class index."""
        return self.reader.class_names

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def palette(self) -> Palette:
        """One colour for each class index of masks; empty for labels."""
        return self.reader.palette

    @property
    def padding_targets(self) -> PyTree:
        """Those of the reader."""
        return self.reader.padding_targets

    def file_set(self) -> FileSet:
        """Reads the names and sizes of the shards.

        Raises:
          DataError: DATA-DECODE, a shard is missing.
        """
        files = [epath.Path(shard) for shard in self.shards]
        try:
            return FileSet.of([(file.name, file.stat().length) for file in files])
        except OSError as error:
            message = f"{error.filename or self.full_name}: {error.strerror or error}"
            raise DataError(message, do="restore it or rebuild the data set", code="DATA-DECODE") from error

    def __len__(self) -> int:
        """Number of examples."""
        return self.shard_ends[-1] if self.shard_ends else 0

    def __repr__(self) -> str:
        """Data set, version, split and size: the same in every process and folder. What is not classes is named."""
        learned = "" if self.targets == "classes" else f", targets={self.targets!r}"
        return f"TfdsSource(name={self.full_name!r}, split={self.split!r}, num_examples={len(self)}{learned})"

    def image_size(self, index: int, *, max_pixels: int) -> tuple[int, int]:
        """Reads the (height, width) in pixels of an upright image; its targets are left alone.

        Raises:
          DataError: DATA-TFDS, the shard is missing or damaged; as `read_header`.
        """
        record = self._record(index)
        return read_header(record["image"], name=self._name(index, record), max_pixels=max_pixels).size

    def __getitem__(self, index: int) -> Example:
        """Reads one record.

        Raises:
          IndexError: index is not in 0..len-1.
          DataError: DATA-TFDS, the shard is missing or damaged; as `TargetReader.read`.
        """
        record = self._record(index)
        name = self._name(index, record)
        return Example(image=record["image"], targets=self.reader.read(record, name=name), name=name)

    def _record(self, index: int) -> Mapping[str, Any]:
        """Reads the features of a record.

        Raises:
          IndexError: index is not in 0..len-1.
          DataError: DATA-TFDS, the shard is missing or damaged.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is not in 0..{len(self) - 1}")
        try:
            return retry(lambda: self.records[index])
        except Exception as error:  # array_record raises RuntimeError for all, the parser of records other types.
            message = f"{self._name(index, {})} in {self._shard(index)}: {error}"
            raise DataError(message, do="restore the shard or rebuild the data set", code="DATA-TFDS") from error

    def _shard(self, index: int) -> str:
        """Returns the file that holds an example."""
        return self.shards[bisect.bisect_right(self.shard_ends, index)]

    def _name(self, index: int, record: Mapping[str, Any]) -> str:
        """Names an example in an error message."""
        value = (
            b"" if self.file_name is None else record.get(self.file_name, b"")
        )  # Text, or a number as in i_naturalist2021.
        file_name = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
        return f"{self.full_name} {self.split} record {index}{file_name and f' ({file_name})'}"


@dataclass(frozen=True, kw_only=True)
class TfdsDataSet:
    """A data set that TFDS prepared.

    Attributes:
      data_dir: the TFDS folder; "~" is the home folder.
      name: `NAME`, `NAME/CONFIG` or either with `:VERSION`; without a version the highest one that is there.
      targets: what is learned from its records.
      max_pixels: larger masks are refused.
    """

    data_dir: str
    name: str
    targets: Targets = "classes"
    max_pixels: int = MAX_PIXELS

    def split_names(self) -> tuple[str, ...]:
        """Names the splits, in the order of the metadata.

        Raises:
          DataError: DATA-TFDS, the data set is missing or damaged.
        """
        return tuple(open_builder(self.data_dir, self.name).info.splits)

    def open(self, split: str) -> Source:
        """Opens a split, or what TFDS's notation makes of several, such as "train[:90%]" or "train+test".

        Raises:
          DataError: as `open_source`.
        """
        return open_source(self.data_dir, self.name, split, targets=self.targets, max_pixels=self.max_pixels)

    def open_whole(self) -> Source:
        """Opens all splits one after the other.

        Raises:
          DataError: as `open_source`.
        """
        return self.open("+".join(self.split_names()))


def open_data_set(data: Data) -> TfdsDataSet:
    """Returns the TFDS data set that a run reads."""
    return TfdsDataSet(data_dir=data.data_dir, name=data.name, targets=data.targets, max_pixels=data.max_pixels)


def open_source(
    data_dir: str, name: str, split: str, *, targets: Targets = "classes", max_pixels: int = MAX_PIXELS
) -> Source:
    """Opens one split of a prepared data set.

    Args:
      data_dir: the TFDS folder; "~" is the home folder.
      name: `NAME`, `NAME/CONFIG` or either with `:VERSION`; without a version the highest one that is there.
      split: a TFDS split, such as "test", "train[:90%]" or "train[10:20]".
      targets: what is learned from its records.
      max_pixels: larger masks are refused.

    Raises:
      DataError: DATA-TFDS, the data set is missing, damaged, not in array_record form or without such targets, or has
        no such split; DATA-LABEL, it does not say how many classes it has; DATA-EMPTY, the split is empty.
    """
    builder = open_builder(data_dir, name)
    reader = find_reader(builder, targets, max_pixels=max_pixels)
    features = dict(builder.info.features.items())
    encoded = {
        key: tfds.decode.SkipDecoding() for key, kind in features.items() if isinstance(kind, tfds.features.Image)
    }
    instructions = file_instructions(builder, split)
    source = TfdsSource(
        full_name=builder.info.full_name,
        split=split,
        targets=targets,
        records=builder.as_data_source(split=split, decoders=encoded),
        shards=tuple(str(instruction.filename) for instruction in instructions),
        shard_ends=tuple(itertools.accumulate(instruction.take for instruction in instructions)),
        reader=reader,
        file_name=next((key for key in FILE_NAME_KEYS if key in features), None),
    )
    if targets == "objects":
        return annotated(source, title=f"{source.full_name} {split}", max_pixels=max_pixels)
    return source
