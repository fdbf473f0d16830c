"""Opens prepared TFDS data sets: their metadata alone, without the code that prepared them and without TensorFlow.

They may be in a bucket, such as one of Google's (`gs://`).
"""

import json
import re
from typing import Any

import tensorflow_datasets.public_api as tfds
from etils import epath
from tensorflow_datasets.core.utils.shard_utils import FileInstruction

from gauss_vit.data.sources import how_to_get
from gauss_vit.errors import DataError
from gauss_vit.files import LARGEST_JSON

INFO_FILE, FEATURES_FILE = "dataset_info.json", "features.json"
_METADATA_SUFFIXES = (".json", ".txt")
CLASS_KEYS = frozenset({"pythonClassName", "python_class_name", "type"})
VERSION_PATTERN = re.compile(r"\d+\.\d+\.\d+")


def open_builder(data_dir: str, name: str) -> tfds.core.DatasetBuilder:
    """Opens a prepared data set and checks that its files are array_record.

    Args:
      data_dir: the TFDS folder; "~" is the home folder.
      name: `NAME`, `NAME/CONFIG` or either with `:VERSION`; without a version the highest one that is there.

    Raises:
      DataError: DATA-TFDS, it is missing, damaged, or not in array_record form.
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
      name: as for `open_builder`.

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


def file_instructions(builder: tfds.core.DatasetBuilder, split: str) -> tuple[FileInstruction, ...]:
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
