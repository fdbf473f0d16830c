"""ADE20K for scene parsing, as ADEChallengeData2016.zip unpacks: 150 classes, 20,210 and 2,000 images.

Masks store 0 for what is none of the classes and k for class k - 1. They are shifted here and nowhere else.
"""

import functools
from importlib import resources
from pathlib import Path

from gauss_vit.data.config import Data
from gauss_vit.data.file_reading import retry
from gauss_vit.data.sources import how_to_get
from gauss_vit.data.sources.mask_classes import MaskClasses, indexed
from gauss_vit.data.sources.mask_folders import MaskFolderDataSet, local_root
from gauss_vit.errors import DataError
from gauss_vit.files import LARGEST_JSON, read_bytes
from gauss_vit.palette import Palette

ARCHIVE_FOLDER = "ADEChallengeData2016"
MASKS = "annotations"
INFO_FILE = "objectInfo150.txt"
OTHER = 0
"""Value of what is none of the classes."""

_CLASSES = "ade20k_classes.txt"


def open_data_set(data: Data) -> MaskFolderDataSet:
    """Returns the folder that a run reads: `data.data_dir`, or ADEChallengeData2016 in it.

    Raises:
      DataError: DATA-EMPTY, none is given.
    """
    root = local_root(data, example=f"--config.data.data_dir={ARCHIVE_FOLDER}, which {ARCHIVE_FOLDER}.zip unpacks to")
    inner = root / ARCHIVE_FOLDER
    return MaskFolderDataSet(
        root=inner if inner.is_dir() else root,
        masks=MASKS,
        read_classes=read_classes,
        follow_links=data.follow_links,
        max_pixels=data.max_pixels,
        remedy=how_to_get.remedy(data.name, data.data_dir),
    )


def read_classes(root: Path) -> MaskClasses:
    """Returns the classes, once it is sure that the folder's list of them, if it has one, is the same.

    Raises:
      DataError: DATA-LABEL, it lists other classes, or cannot be read.
    """
    classes, path = ade20k_classes(), root / INFO_FILE
    listed = _listed(path) if path.exists() else [(name,) for name in classes.names]
    for place, (name, synonyms) in enumerate(zip(classes.names, listed, strict=False)):
        if name not in synonyms:
            message = f"{path}: class {place + 1} is {', '.join(synonyms)}, and {name} in ADE20K"
            raise DataError(message, do="read other classes with data.name=mask_folder", code="DATA-LABEL")
    if len(listed) != len(classes.names):
        message = f"{path} has {len(listed)} classes instead of {len(classes.names)}"
        raise DataError(message, do="read other classes with data.name=mask_folder", code="DATA-LABEL")
    return classes


@functools.cache
def ade20k_classes() -> MaskClasses:
    """Returns the 150 classes with the names and colours that MMSegmentation and transformers give them."""
    lines = resources.files("gauss_vit.data.sources").joinpath(_CLASSES).read_text(encoding="utf-8").splitlines()
    rows = [line.split(maxsplit=3) for line in lines if not line.startswith("#")]
    palette: Palette = tuple((int(red), int(green), int(blue)) for red, green, blue, _ in rows)
    return indexed([name for *_, name in rows], first=1, ignored=(OTHER,), palette=palette)


def _listed(path: Path) -> list[tuple[str, ...]]:
    """Reads the synonyms of each class, which are the last column of a table with a head.

    Raises:
      DataError: DATA-LABEL, the file cannot be read.
    """
    try:
        text = retry(lambda: read_bytes(path, limit=LARGEST_JSON)).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}", do="restore it", code="DATA-LABEL") from error
    _, *lines = text.strip().splitlines()
    return [tuple(name.strip() for name in line.rpartition("\t")[2].split(",")) for line in lines]
