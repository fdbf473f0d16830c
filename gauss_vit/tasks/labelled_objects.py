"""Objects that the data name in an image, drawn as predictions are."""

from collections.abc import Sequence

import numpy as np

from gauss_vit.batches import IGNORED, ObjectTargets
from gauss_vit.ops.detection.masks import paste
from gauss_vit.tasks.label_map import Label, LabelledBox, LabelMap


def labelled_objects(targets: ObjectTargets, classes: Sequence[Label]) -> LabelMap:
    """Labels the pixels of an image by the object that they belong to; where objects overlap, by the smaller one.

    Args:
      targets: objects of a single image, as NumPy arrays without the batch axis.
      classes: name and colour of each class.
    """
    yxyx = targets.boxes.yxyx
    areas = np.prod(yxyx[:, 2:] - yxyx[:, :2], axis=1)
    kept = np.flatnonzero(areas > 0)
    drawn = kept[np.argsort(areas[kept], kind="stable")].tolist()
    height, width = targets.size.tolist()
    values = np.full((height, width), IGNORED, np.uint8)
    for place, row in reversed(list(enumerate(drawn))):
        values[paste(targets.masks[row] / np.float32(255), yxyx[row], (height, width))] = place
    labels = tuple(classes[label] for label in targets.label[drawn].tolist())
    boxes = tuple(
        LabelledBox(yxyx=tuple(yxyx[row].tolist()), label=label) for row, label in zip(drawn, labels, strict=True)
    )
    return LabelMap(values=values, labels=labels, boxes=boxes)
