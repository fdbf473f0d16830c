"""The objects that were found in image files, as one file in COCO's format for results."""

import json
from collections.abc import Sequence
from pathlib import Path

from gauss_vit.inspect.result_files import write_text
from gauss_vit.metrics.coco import Detected, Entry

RESULTS = "coco_results.json"


class FileDetections:
    """Gathers the objects of image files.

    Attributes:
      entries: The objects, each with the `file_name` of its image besides what COCO's format has.
    """

    def __init__(self, paths: Sequence[Path], *, num_classes: int) -> None:
        """Numbers images and classes.

        Args:
          paths: all image files.
          num_classes: number of classes, whose numbers are their indices.
        """
        self.entries: list[Entry] = []
        self._ids = image_ids(paths)
        self._category_ids = range(num_classes)

    def add(self, path: Path, detected: Detected) -> None:
        """Adds the objects of a file.

        Raises:
          ConfigError: there are masks, and pycocotools is not installed.
        """
        found = detected.entries(image_id=self._ids[path], category_ids=self._category_ids)
        self.entries += [{**entry, "file_name": path.name} for entry in found]

    def write(self, out: Path) -> None:
        """Writes all of them as `coco_results.json`.

        Raises:
          StorageError: the file cannot be written.
        """
        write_text(out / RESULTS, json.dumps(self.entries))


def image_ids(paths: Sequence[Path]) -> dict[Path, int]:
    """Numbers images as their files are named where all names are different numbers, as COCO's are, or in order.

    >>> list(image_ids([Path("000000000139.jpg"), Path("000000000285.jpg")]).values())
    [139, 285]
    >>> list(image_ids([Path("139.jpg"), Path("cat.jpg")]).values())
    [0, 1]
    """
    named = [int(path.stem) for path in paths if path.stem.isdecimal()]
    is_numbered = len(set(named)) == len(paths)
    return dict(zip(paths, named if is_numbered else range(len(paths)), strict=True))
