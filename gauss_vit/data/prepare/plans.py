"""Data sets that are to be written: folders of images and their records, before any file format is chosen."""

import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from gauss_vit.data.images import image as images
from gauss_vit.data.images.header import MAX_PIXELS
from gauss_vit.data.sources.data_sets import import_tfds
from gauss_vit.data.sources.folder_layout import WHOLE, split_folders
from gauss_vit.data.sources.folders import open_folder
from gauss_vit.errors import DataError

VERSION = "1.0.0"
JPEG_QUALITY = 95
WRITER_MODULE = "gauss_vit.data.prepare.packing"


@dataclass(frozen=True, kw_only=True)
class Record:
    """One labelled image file.

    Attributes:
      image: bytes of the file.
      label: class index.
      file_name: name of the file, for messages.
    """

    image: bytes
    label: int
    file_name: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A data set to be written.

    Attributes:
      name: name of the TFDS data set.
      version: three numbers, such as "1.0.0".
      description: one sentence about where it comes from.
      class_names: one name for each class index.
      splits: for each split, a function that yields its records in order.
    """

    name: str
    version: str
    description: str
    class_names: tuple[str, ...]
    splits: Mapping[str, Callable[[], Iterable[Record]]]


def folder_plan(folder: Path, name: str, *, follow_links: bool = False) -> Plan:
    """Plans the data set of a folder of images: its split folders, or "train" for a folder of classes.

    Raises:
      DataError: as `gauss_vit.data.sources.folders.open_folder`; DATA-LABEL, two classes have one name.
    """
    splits = {split: split for split in split_folders(folder)} or {"train": WHOLE}
    sources = {split: open_folder(folder, kept, follow_links=follow_links) for split, kept in splits.items()}
    names = next(iter(sources.values())).class_names
    if len(set(names)) < len(names):
        message = f"two classes of {folder} have one name in labels.json"
        raise DataError(message, do="give every class a name of its own", code="DATA-LABEL")

    def records(split: str) -> Iterator[Record]:
        source = sources[split]
        for index, file in enumerate(source.files):
            example = source[index]
            yield Record(
                image=example.image,
                label=int(example.targets.label),
                file_name=os.fsencode(file).decode(errors="replace"),
            )

    return Plan(
        name=name,
        version=VERSION,
        description="Images of a folder, one class a folder, in the order of the folder.",
        class_names=names,
        splits={split: lambda split=split: records(split) for split in sources},
    )


def resized(plan: Plan, size: int, *, max_pixels: int = MAX_PIXELS) -> Plan:
    """Shrinks every image of a plan to a shorter side of at most `size` pixels, as JPEG of quality 95.

    Images are turned upright and converted to RGB; smaller ones keep their size, and those of more than `max_pixels`
    are refused. This makes input fast, but crops are then taken of the smaller image, unlike in published recipes.
    """
    splits = {
        split: lambda records=records: (_resize(record, size, max_pixels=max_pixels) for record in records())
        for split, records in plan.splits.items()
    }
    description = f"{plan.description} Shorter side at most {size} px, JPEG quality {JPEG_QUALITY}."
    return replace(plan, description=description, splits=splits)


def write(plan: Plan, data_dir: Path) -> Path:
    """Writes a planned data set below a TFDS folder, as `gauss_vit.data.prepare.packing.write` does.

    Raises:
      DataError: DATA-TFDS, the packages that write it are not installed; and as that function.
      BusyError, StorageError: as that function.
    """
    return import_tfds(WRITER_MODULE).write(plan, data_dir)


def _resize(record: Record, size: int, *, max_pixels: int) -> Record:
    """Decodes, shrinks and encodes one image.

    Raises:
      DataError: DATA-DECODE or DATA-BOMB, it cannot be decoded.
    """
    rgb = images.decode(record.image, name=record.file_name, max_pixels=max_pixels)
    shrink = min(1.0, size / min(rgb.size))
    target = tuple(max(1, round(side * shrink)) for side in reversed(rgb.size))
    file = io.BytesIO()
    images.resize(rgb, size=(target[0], target[1]), interpolation="bicubic").save(
        file, format="JPEG", quality=JPEG_QUALITY
    )
    return replace(record, image=file.getvalue())
