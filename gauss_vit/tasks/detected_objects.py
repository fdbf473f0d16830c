"""Objects that a detector found in images, at the size of the files: listed, drawn, and written as COCO results."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, PyTree

from gauss_vit.batches import IGNORED, Batch, ObjectTargets
from gauss_vit.heads.detections import FoundObjects
from gauss_vit.metrics.coco import Entry, encode
from gauss_vit.metrics.percent import shortest
from gauss_vit.ops.detection.boxes import clip
from gauss_vit.ops.detection.masks import paste
from gauss_vit.tasks.label_map import Label, LabelledBox, LabelMap
from gauss_vit.tasks.task import Records

DRAWN_FROM = 0.3
"""Lowest score of the objects that are drawn, that of MMDetection's pictures; listed and measured are all."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class DetectedObjects:
    """Objects by falling score, with padding behind them; without the batch axis, of a single image.

    Attributes:
      yxyx: float32 [batch, objects, 4], boxes in pixels of the original image; zeros in padding.
      score: float32 [batch, objects], probability of the class in 0..1.
      label: int32 [batch, objects], class.
      is_real: bool [batch, objects], False in padding.
      masks: float32 [batch, objects, rows, columns], probability in 0..1 that a cell of the object's box belongs to it;
        None of a detector of boxes alone.
      size: int32 [batch, 2], (height, width) of the original image in pixels.
      num_dropped: int32 [batch], candidates that the detector had no place for (`ops.detection.selection.Detections`).
    """

    yxyx: PyTree
    score: PyTree
    label: PyTree
    is_real: PyTree
    masks: PyTree
    size: PyTree
    num_dropped: PyTree

    def label_map(self, classes: tuple[Label, ...]) -> LabelMap:
        """Labels the pixels of a single image by object, as its boxes are, where objects overlap by the better one.

        Of more than 255 objects the best ones are labelled.

        Args:
          classes: name and colour of each class.
        """
        height, width = self.size.tolist()
        drawn = np.flatnonzero(self.is_real & (self.score >= DRAWN_FROM))[:IGNORED].tolist()
        values = np.full((height, width), IGNORED, np.uint8)
        for place, index in reversed(list(enumerate(drawn))):
            values[self.area(index)] = place
        labels = tuple(classes[label] for label in self.label[drawn].tolist())
        boxes = tuple(
            LabelledBox(yxyx=tuple(self.yxyx[index].tolist()), label=label, share=shortest(self.score[index]))
            for index, label in zip(drawn, labels, strict=True)
        )
        return LabelMap(values=values, labels=labels, boxes=boxes)

    def area(self, index: int) -> Bool[np.ndarray, "height width"]:
        """Draws the pixels of an object in a single image; without masks, those whose centre is in its box."""
        height, width = self.size.tolist()
        if self.masks is not None:
            return paste(self.masks[index], self.yxyx[index], (height, width))
        y0, x0, y1, x1 = self.yxyx[index]
        rows, columns = np.arange(height) + 0.5, np.arange(width) + 0.5
        return np.outer((y0 <= rows) & (rows < y1), (x0 <= columns) & (columns < x1))

    def entries(self, *, image_id: int, category_ids: Sequence[int]) -> list[Entry]:
        """Describes the objects of a single image in COCO's format for results, with masks as run lengths.

        Args:
          image_id: number of the image.
          category_ids: number of each class.

        Raises:
          ConfigError: there are masks, and pycocotools is not installed.
        """
        return [
            {
                "image_id": image_id,
                "category_id": category_ids[self.label[index]],
                "bbox": _xywh(self.yxyx[index]),
                "score": shortest(self.score[index]),
                **({} if self.masks is None else {"segmentation": encode(self.area(index))}),
            }
            for index in np.flatnonzero(self.is_real).tolist()
        ]


def in_original_pixels(found: FoundObjects, batch: Batch) -> DetectedObjects:
    """Scales the outputs of a detector to the original sizes of its images.

    Args:
      found: objects in pixels of the batch's images.
      batch: the images. `ObjectTargets` tell their sizes; without them they are whole and as large as in their files.
    """
    targets, objects = batch.targets, found.objects
    if isinstance(targets, ObjectTargets):
        size, original = targets.size, targets.original_size
    else:
        size = original = jnp.tile(jnp.asarray([batch.image.shape[1:3]], jnp.int32), (len(batch.image), 1))
    factor = (original / jnp.maximum(size, 1)).astype(jnp.float32)
    yxyx = objects.yxyx * jnp.concatenate([factor, factor], axis=-1)[:, None, :]
    return DetectedObjects(
        yxyx=clip(yxyx, original.astype(jnp.float32)),
        score=objects.score,
        label=objects.label,
        is_real=objects.is_real,
        masks=found.masks,
        size=original,
        num_dropped=objects.num_dropped,
    )


def object_records(prediction: DetectedObjects, *, class_names: Sequence[str], limit: int) -> Records:
    """Lists the objects of a single image by falling score, with boxes in whole pixels of the file."""
    listed = np.flatnonzero(prediction.is_real)[:limit].tolist()
    corners = np.rint(prediction.yxyx).astype(int).tolist()
    items = []
    for index in listed:
        (top, left, bottom, right), label = corners[index], int(prediction.label[index])
        items.append(
            {
                "index": label,
                "name": class_names[label] if class_names else None,
                "probability": shortest(prediction.score[index]),
                "x": left,
                "y": top,
                "width": right - left,
                "height": bottom - top,
            }
        )
    return Records(name="boxes", items=tuple(items))


def _xywh(yxyx: np.ndarray) -> list[float]:
    y0, x0, y1, x1 = yxyx
    return [shortest(value) for value in (x0, y0, x1 - x0, y1 - y0)]
