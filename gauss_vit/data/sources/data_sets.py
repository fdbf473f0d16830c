"""Data sets by kind: a folder of images, with masks or without, the embedded digits, or a set that TFDS prepared.

Only the last kind needs `tensorflow_datasets`, which is imported when such a set is opened.
"""

import importlib
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Protocol, runtime_checkable

from gauss_vit.data.config import ADE20K, COCO, COCO_FOLDER, DIGITS, FOLDER, MASK_FOLDER, Data
from gauss_vit.data.examples import Source
from gauss_vit.data.sources import ade20k, coco, digits, folders, how_to_get, mask_folders
from gauss_vit.errors import DataError

TFDS_MODULE = "gauss_vit.data.sources.tfds"


@runtime_checkable
class DataSet(Protocol):
    """A data set with its splits."""

    def split_names(self) -> tuple[str, ...]:
        """Names the splits.

        Raises:
          DataError: the data set is missing or damaged.
        """
        ...

    def open(self, split: str) -> Source:
        """Opens a split, or a part of it such as "train[:90%]".

        Raises:
          DataError: the data set or the split is missing, damaged or empty.
        """
        ...

    def open_whole(self) -> Source:
        """Opens all examples in an order that never changes.

        Raises:
          DataError: the data set is missing or damaged, or must not be taken as a whole.
        """
        ...


WITHOUT_TFDS: Mapping[str, Callable[[Data], DataSet]] = {
    FOLDER: folders.open_data_set,
    DIGITS: digits.open_data_set,
    ADE20K: ade20k.open_data_set,
    MASK_FOLDER: mask_folders.open_data_set,
    COCO: coco.open_coco,
    COCO_FOLDER: coco.open_folder,
}


def open_data_set(data: Data) -> DataSet:
    """Finds the data set of a run by its kind; nothing is read before a split is opened.

    Raises:
      DataError: DATA-TFDS, the name is that of a TFDS set and the packages that read it are not installed; DATA-NAME,
        the name is probably a misspelled one; DATA-EMPTY, a folder of images is wanted and none is given.
    """
    if data.name in WITHOUT_TFDS:
        return WITHOUT_TFDS[data.name](data)
    how_to_get.check_name(data.name, data.data_dir)
    return import_tfds(TFDS_MODULE).open_data_set(data)


def import_tfds(module: str) -> ModuleType:
    """Imports a module of this package that needs the optional TFDS packages.

    Raises:
      DataError: DATA-TFDS, one of them is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        message = f"TFDS data sets need the package {package}, which is not installed"
        raise DataError(message, do="pip install 'gauss_vit[tfds]'", code="DATA-TFDS") from error
