"""Average precision of detections: what each image holds is kept on the host, and compared with the annotations."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import PyTree

from gauss_vit.annotations import Annotated, Annotations
from gauss_vit.batches import Batch
from gauss_vit.errors import CheckpointError, ConfigError
from gauss_vit.metrics.coco import TITLES, Backend, CocoScores, Entry, Kind, scores
from gauss_vit.metrics.percent import percent
from gauss_vit.tasks.detected_objects import DetectedObjects
from gauss_vit.tasks.task import Task


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class ImageDetections:
    """The detections of a batch.

    Attributes:
      objects: `DetectedObjects`.
      image_id: int32 [batch], number of each image in its data set.
      is_real: bool [batch], False in padding.
    """

    objects: DetectedObjects
    image_id: PyTree
    is_real: PyTree


@dataclass(frozen=True, kw_only=True)
class CocoMeasure:
    """Average precision and recall of boxes and masks, as COCO defines them.

    The task's predictions are `DetectedObjects`; the evaluated source has annotations.

    Attributes:
      backend: Library that compares them: "pycocotools", or one that gives equal numbers in less time, "hotcoco" or
        "faster_coco_eval", which the extra `coco-fast` installs.
    """

    backend: Backend = "pycocotools"

    def results(self, task: Task, outputs: PyTree, batch: Batch) -> ImageDetections:
        """Returns the detections of every image."""
        return ImageDetections(
            objects=task.predict(outputs, batch), image_id=batch.targets.image_id, is_real=batch.is_real
        )

    def collector(self, source: Annotated | None) -> "CocoCollector":
        """Returns a collector that compares detections with the annotations of the source.

        Raises:
          ConfigError: it has none.
        """
        if source is None:
            raise ConfigError(
                "average precision needs data with annotated objects, which the evaluated split has not",
                do='evaluate on such data, with data.targets="objects"',
            )
        return CocoCollector(source.truth(), backend=self.backend)

    def describe(self, values: Mapping[str, float]) -> str:
        """Formats the precision of boxes and masks.

        >>> CocoMeasure().describe({"bbox_AP": 0.4821, "bbox_AP50": 0.7, "segm_AP": 0.4323})
        'box AP 48.2 % mask AP 43.2 %'
        """
        found = {title: values.get(f"{kind}_AP") for kind, title in TITLES.items()}
        return " ".join(f"{title} AP {percent(value)}" for title, value in found.items() if value is not None)


class CocoCollector:
    """Keeps the detections of images, with masks as run lengths, and compares them with annotations.

    A detection takes about a kilobyte, whatever the size of its image.

    Attributes:
      entries: The detections, in COCO's format for results.
      category_ids: Number of each class among the categories of the annotations.
    """

    def __init__(self, truth: Annotations, *, backend: Backend) -> None:
        self.entries: list[Entry] = []
        self.category_ids: tuple[int, ...] = tuple(category["id"] for category in truth["categories"])
        self._truth, self._backend = truth, backend
        self._seen: set[int] = set()
        self._num_dropped = 0
        self._has_masks = False
        self._scores: dict[Kind, CocoScores] | None = None

    def add(self, results: ImageDetections) -> None:
        """Adds the detections of the real images of a batch.

        Raises:
          ValueError: an image comes a second time.
          CheckpointError: a score is not a number.
        """
        self._scores = None
        for row in results.is_real.nonzero()[0].tolist():
            image_id = int(results.image_id[row])
            if image_id in self._seen:
                raise ValueError(f"image {image_id} is evaluated twice")
            self._seen.add(image_id)
            objects = jax.tree.map(lambda leaf, row=row: leaf[row], results.objects)
            if np.isnan(objects.score).any():
                message = f"outputs of the model for image {image_id} are not numbers"
                raise CheckpointError(message, do="check the weights", code="CKPT-NOT-FINITE")
            self.entries += objects.entries(image_id=image_id, category_ids=self.category_ids)
            self._num_dropped += int(objects.num_dropped)
            self._has_masks = objects.masks is not None

    def scores(self) -> Mapping[Kind, CocoScores]:
        """Computes precision and recall of boxes and, where both sides have them, of masks."""
        if self._scores is None:
            compares_masks = self._has_masks and all("segmentation" in each for each in self._truth["annotations"])
            kinds: tuple[Kind, ...] = ("bbox", "segm") if compares_masks else ("bbox",)
            self._scores = {kind: scores(self._truth, self.entries, kind=kind, backend=self._backend) for kind in kinds}
        return self._scores

    def num_objects(self) -> tuple[int, ...]:
        """Counts the annotated objects of each class, without crowds."""
        counts = Counter(each["category_id"] for each in self._truth["annotations"] if not each["iscrowd"])
        return tuple(counts[category_id] for category_id in self.category_ids)

    def compute(self) -> dict[str, float]:
        """Computes COCO's numbers, in 0..1, and counts.

        They are named `bbox_AP` to `bbox_AR_large` and `segm_AP` to `segm_AR_large` (`metrics.coco.NAMES`). What no
        object counts for, such as a size that none has, is left out, but for `AP`, which is then NaN. `num_dropped` are
        candidates that the detector had no place for: above 0, the numbers may differ from those of all candidates.
        """
        found = [
            (f"{kind}_{name}", value) for kind, each in self.scores().items() for name, value in each.values.items()
        ]
        return {
            **{name: value for name, value in found if not math.isnan(value) or name.endswith("_AP")},
            "num_detections": len(self.entries),
            "num_dropped": self._num_dropped,
            "num_examples": len(self._seen),
        }
