"""Reads TFDS data sets in array_record form, by index, without TensorFlow and without the network.

Only files of a prepared data set are read, never the code that prepared it. They may be in a bucket, such as one of
Google's (`gs://`).
"""

import bisect
import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import tensorflow_datasets.public_api as tfds
from etils import epath
from tensorflow_datasets.core.utils.shard_utils import FileInstruction

from gauss_vit.batches import ClassTargets
from gauss_vit.data.config import Data
from gauss_vit.data.examples import Example, Source
from gauss_vit.data.file_reading import retry
from gauss_vit.data.sources import how_to_get
from gauss_vit.errors import DataError
from gauss_vit.files import LARGEST_JSON, FileSet

INFO_FILE, FEATURES_FILE = "dataset_info.json", "features.json"
_METADATA_SUFFIXES = (".json", ".txt")
CLASS_KEYS = frozenset({"pythonClassName", "python_class_name", "type"})
FILE_NAME_KEYS = ("file_name", "image/file_name", "image/filename", "id")
VERSION_PATTERN = re.compile(r"\d+\.\d+\.\d+")


@runtime_checkable
class Records(Protocol):
    """What tfds returns for a split. Not annotated as a Sequence, whose elements a type checker would read."""

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        """The features of one record."""
        ...


@dataclass(frozen=True, kw_only=True)
class FeatureKeys:
    """Names of the features that are read from a record, besides "image".

    Attributes:
      label: class of the image.
      accepted: list of every class that counts as right; None if the data set has none.
      file_name: name of the image file; None if it is not kept.
    """

    label: str
    accepted: str | None = None
    file_name: str | None = None


@dataclass(frozen=True, kw_only=True)
class TfdsSource:
    """One split of a prepared TFDS classification data set.

    Attributes:
      full_name: data set, configuration and version, such as "imagenet2012/5.1.0".
      split: notation of the split, such as "train[:90%]".
      class_names: one name for each class index.
      records: one mapping of features for each example, with images as encoded bytes.
      shards: shard files in the order of reading.
      shard_ends: for each shard, the index of the first example after it.
      keys: names of the features that are read.
    """

    full_name: str
    split: str
    class_names: tuple[str, ...]
    records: Records
    shards: tuple[str, ...]
    shard_ends: tuple[int, ...]
    keys: FeatureKeys

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def padding_targets(self) -> ClassTargets:
        """Class 0, and no accepted class where the data set lists them."""
        accepted = None if self.keys.accepted is None else np.zeros(self.num_classes, np.bool_)
        return ClassTargets(label=np.int32(0), accepted=accepted)

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
        """Data set, version, split and size: the same in every process and folder."""
        return f"TfdsSource(name={self.full_name!r}, split={self.split!r}, num_examples={len(self)})"

    def __getitem__(self, index: int) -> Example:
        """Reads one record.

        Raises:
          IndexError: index is not in 0..len-1.
          DataError: DATA-TFDS, the shard is missing or damaged; DATA-LABEL, a label is not a class index.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is not in 0..{len(self) - 1}")
        try:
            record = retry(lambda: self.records[index])
        except Exception as error:  # array_record raises RuntimeError for all, the parser of records other types.
            message = f"{self._name(index, {})} in {self._shard(index)}: {error}"
            raise DataError(message, do="restore the shard or rebuild the data set", code="DATA-TFDS") from error
        name = self._name(index, record)
        return Example(image=record["image"], targets=self._targets(record, name=name), name=name)

    def _targets(self, record: Mapping[str, Any], *, name: str) -> ClassTargets:
        """The class of a record, and every accepted one where the data set lists them; the list may be empty.

        Raises:
          DataError: DATA-LABEL, a label is not a class index.
        """
        label = int(record[self.keys.label])
        listed = () if self.keys.accepted is None else tuple(int(other) for other in record[self.keys.accepted])
        for index in (label, *listed):
            if not 0 <= index < self.num_classes:
                raise DataError(f"{name}: label {index} is not in 0..{self.num_classes - 1}", code="DATA-LABEL")
        accepted = None if self.keys.accepted is None else np.isin(np.arange(self.num_classes), listed)
        return ClassTargets(label=np.int32(label), accepted=accepted)

    def _shard(self, index: int) -> str:
        """Returns the file that holds an example."""
        return self.shards[bisect.bisect_right(self.shard_ends, index)]

    def _name(self, index: int, record: Mapping[str, Any]) -> str:
        """Names an example in an error message."""
        key = self.keys.file_name
        file_name = record[key].decode(errors="replace") if key in record else ""
        return f"{self.full_name} {self.split} record {index}{file_name and f' ({file_name})'}"


@dataclass(frozen=True, kw_only=True)
class TfdsDataSet:
    """A data set that TFDS prepared.

    Attributes:
      data_dir: the TFDS folder; "~" is the home folder.
      name: `NAME`, `NAME/CONFIG` or either with `:VERSION`; without a version the highest one that is there.
    """

    data_dir: str
    name: str

    def split_names(self) -> tuple[str, ...]:
        """Names the splits, in the order of the metadata.

        Raises:
          DataError: DATA-TFDS, the data set is missing or damaged.
        """
        return tuple(_open_builder(self.data_dir, self.name).info.splits)

    def open(self, split: str) -> Source:
        """Opens a split, or what TFDS's notation makes of several, such as "train[:90%]" or "train+test".

        Raises:
          DataError: as `open_source`.
        """
        return open_source(self.data_dir, self.name, split)

    def open_whole(self) -> Source:
        """Opens all splits one after the other.

        Raises:
          DataError: as `open_source`.
        """
        return self.open("+".join(self.split_names()))


def open_data_set(data: Data) -> TfdsDataSet:
    """Returns the TFDS data set that a run reads."""
    return TfdsDataSet(data_dir=data.data_dir, name=data.name)


def open_source(data_dir: str, name: str, split: str) -> Source:
    """Opens one split of a prepared data set.

    Args:
      data_dir: the TFDS folder; "~" is the home folder.
      name: `NAME`, `NAME/CONFIG` or either with `:VERSION`; without a version the highest one that is there.
      split: a TFDS split, such as "test", "train[:90%]" or "train[10:20]".

    Raises:
      DataError: DATA-TFDS, the data set is missing, damaged, not in array_record form or not one of labelled images,
        or has no such split; DATA-LABEL, it does not say how many classes it has; DATA-EMPTY, the split is empty.
    """
    return _open_split(_open_builder(data_dir, name), split)


def _open_builder(data_dir: str, name: str) -> tfds.core.DatasetBuilder:
    """Opens a prepared data set and checks that its files are array_record.

    Raises:
      DataError: as `open_source`.
    """
    root = epath.Path(data_dir).expanduser()
    folder = _found_folder(root, name)
    try:
        _refuse_large_metadata(folder)
        _refuse_foreign_code(folder)
        builder = tfds.builder_from_directory(folder)
    except DataError:
        raise
    except Exception as error:  # tfds lets errors of protobuf, JSON and its own through, with no common base.
        message = f"{folder} is not a readable TFDS data set: {error}"
        raise DataError(message, do=how_to_get.rebuild(name, str(root)), code="DATA-TFDS") from error
    if builder.info.file_format != tfds.core.FileFormat.ARRAY_RECORD:
        message = f"{folder} holds {builder.info.file_format.value} files; only array_record can be addressed by index"
        raise DataError(message, do=how_to_get.rebuild(name, str(root)), code="DATA-TFDS")
    return builder


def _found_folder(root: epath.Path, name: str) -> epath.Path:
    """Finds the folder of a prepared data set, also in a bucket, each kind of which raises errors of its own.

    Raises:
      DataError: DATA-TFDS, it is not there or cannot be read.
    """
    try:
        return find_folder(root, name)
    except DataError:
        raise
    except Exception as error:
        message = f"{root} cannot be read: {type(error).__name__}: {error}"
        raise DataError(message, do="check its name and your rights; gs:// needs gcsfs", code="DATA-TFDS") from error


def find_folder(root: epath.Path, name: str) -> epath.Path:
    """Finds the folder of a prepared data set: the version asked for, or the highest. Half-written ones do not count.

    Args:
      root: the TFDS folder.
      name: as for `open_source`.

    Raises:
      DataError: DATA-TFDS, it is not there.
    """
    base, _, version = name.partition(":")
    folders = (path.parent for path in (root / base).glob(f"*/{INFO_FILE}"))
    found = sorted((folder for folder in folders if VERSION_PATTERN.fullmatch(folder.name)), key=_version_of)
    matching = [folder for folder in found if not version or folder.name == version]
    if not matching:
        versions = f" (found version {', '.join(folder.name for folder in found)})" if found else ""
        message = f"data set {name} is not prepared under {root / base}{versions}"
        raise DataError(message, do=how_to_get.remedy(name, str(root)), code="DATA-TFDS")
    return matching[-1]


def _refuse_large_metadata(folder: epath.Path) -> None:
    """Stops metadata of gigabytes, which tfds would read and decode whole.

    Raises:
      DataError: DATA-TFDS, a file is larger than metadata can be.
    """
    for path in folder.iterdir():
        if path.suffix in _METADATA_SUFFIXES and path.stat().length > LARGEST_JSON:
            message = f"{path} is larger than the limit of {LARGEST_JSON:,} bytes"
            raise DataError(message, do="read only data sets that you trust", code="DATA-TFDS")


def _refuse_foreign_code(folder: epath.Path) -> None:
    """Stops metadata that would make tfds import code: it loads the modules of the classes that features.json names.

    Raises:
      DataError: DATA-TFDS, a class is not one of tfds.
    """

    def check(entry: dict[str, Any]) -> dict[str, Any]:
        for name in (entry[key] for key in CLASS_KEYS & entry.keys()):
            if not str(name).startswith("tensorflow_datasets."):
                message = f"{folder / FEATURES_FILE} names the feature class {name!r}; only those of tfds are loaded"
                raise DataError(message, do="read only data sets that you trust", code="DATA-TFDS")
        return entry

    json.loads((folder / FEATURES_FILE).read_text(), object_hook=check)


def _version_of(folder: epath.Path) -> tuple[int, ...]:
    """Parses a folder's version into numbers, so that 10.0.0 comes after 9.0.0."""
    return tuple(int(part) for part in folder.name.split("."))


def _open_split(builder: tfds.core.DatasetBuilder, split: str) -> TfdsSource:
    """Opens a split of a data set whose files are known to be array_record.

    Raises:
      DataError: DATA-TFDS, the records are not labelled images; DATA-LABEL, the number of classes is not known.
    """
    full_name, features = builder.info.full_name, dict(builder.info.features.items())
    encoded = {
        key: tfds.decode.SkipDecoding() for key, kind in features.items() if isinstance(kind, tfds.features.Image)
    }
    keys = find_keys(features)
    if "image" not in encoded or keys is None:
        message = f"{full_name} has no image with one class label; it has {', '.join(sorted(features))}"
        raise DataError(message, do="choose a classification data set", code="DATA-TFDS")
    if not features[keys.label].num_classes:
        message = f"{full_name}: its feature {keys.label} does not say how many classes there are"
        raise DataError(message, do="rebuild the data set, with names or num_classes", code="DATA-LABEL")
    instructions = _file_instructions(builder, split)
    return TfdsSource(
        full_name=full_name,
        split=split,
        class_names=tuple(features[keys.label].names),
        records=builder.as_data_source(split=split, decoders=encoded),
        shards=tuple(str(instruction.filename) for instruction in instructions),
        shard_ends=tuple(itertools.accumulate(instruction.take for instruction in instructions)),
        keys=keys,
    )


def find_keys(features: Mapping[str, Any]) -> FeatureKeys | None:
    """Finds the names of a data set's label and file name features, or None if it has no class label.

    ImageNet, its V2, A and R, CIFAR, cars196 and most others have a `label`; ImageNet ReaL has an `original_label`, and
    in `real_label` all that count as right. File names go by several keys.
    """
    labels = [
        key
        for key in ("label", "original_label")
        if key in features and isinstance(features[key], tfds.features.ClassLabel)
    ]
    if not labels:
        return None
    file_names = [key for key in FILE_NAME_KEYS if key in features]
    return FeatureKeys(
        label=labels[0],
        accepted="real_label" if "real_label" in features else None,
        file_name=file_names[0] if file_names else None,
    )


def _file_instructions(builder: tfds.core.DatasetBuilder, split: str) -> tuple[FileInstruction, ...]:
    """Finds the shards, and the part of each, that make up a split.

    Raises:
      DataError: DATA-TFDS, there is no such split or a shard of it is missing; DATA-EMPTY, nothing is in it.
    """
    full_name = builder.info.full_name
    try:
        instructions = tuple(builder.info.splits[split].file_instructions)
    except (ValueError, KeyError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        known = ", ".join(builder.info.splits)
        raise DataError(f"{full_name}: {reason}", do=f"use one of {known}, or a slice", code="DATA-TFDS") from error
    if not instructions:
        raise DataError(f"{full_name}: split {split} is empty", do="widen the slice", code="DATA-EMPTY")
    for instruction in instructions:
        if not epath.Path(instruction.filename).is_file():
            message = f"{full_name}: {instruction.filename} is missing"
            raise DataError(message, do="restore it or rebuild the data set", code="DATA-TFDS")
    return instructions
