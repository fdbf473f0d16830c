"""The objects of an image as they are annotated, and the targets that they become once the image has its final place.

Outlines are drawn one after the other, each into a bitmap of the image in its file. Where a transform moves the pixels
is found once for all of them, by moving the numbers of the pixels as a mask. So a bitmap is never moved itself: the
pixels that an object's final box shows are looked up in it, and averaged over the cells of the box.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Float, Int, PyTree, UInt8

from gauss_vit.batches import OBJECT_MASK_SIZE, Boxes, Mask, ObjectTargets, no_objects
from gauss_vit.data.images.geometry import Move, move_targets
from gauss_vit.data.images.outlines import Outline
from gauss_vit.errors import DataError

_NOWHERE = -1
"""Number of the pixels that come in from outside of an image."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class AnnotatedObjects:
    """The objects that are learned from in an image, at the size of its file: the targets of an example.

    Attributes:
      boxes: float32 [objects, 4], at most `MAX_OBJECTS`.
      label: int32 [objects], class indices.
      outlines: a mask of each object, `gauss_vit.data.images.outlines.Outline`.
      size: int32 [2], the (height, width) in pixels that the annotations are for.
      image_id: int32, the number of the image in its data set.
    """

    boxes: Boxes
    label: PyTree
    outlines: tuple[PyTree, ...]
    size: PyTree
    image_id: PyTree


def unannotated(size: tuple[int, int], *, image_id: int) -> AnnotatedObjects:
    """Returns what an image of that (height, width) is an example of where nothing is known about its objects."""
    return AnnotatedObjects(
        boxes=Boxes(yxyx=np.zeros((0, 4), np.float32)),
        label=np.zeros(0, np.int32),
        outlines=(),
        size=np.asarray(size, np.int32),
        image_id=np.int32(image_id),
    )


def require_size(objects: AnnotatedObjects, image_size: tuple[int, int], *, name: str) -> None:
    """Checks that annotations are for an image of that (height, width).

    Raises:
      DataError: DATA-ANN, they are for another one; `name` is that of the example.
    """
    annotated = tuple(objects.size.tolist())
    if annotated != image_size:
        (height, width), (own_height, own_width) = annotated, image_size
        message = f"{name}: the image is {own_height} x {own_width} px, its annotations are for {height} x {width} px"
        raise DataError(message, do="correct the annotations, or restore the image", code="DATA-ANN")


def without_objects(objects: AnnotatedObjects, *, size: tuple[int, int]) -> ObjectTargets:
    """Returns the targets of an image that is evaluated.

    Args:
      objects: its annotations, which are left out.
      size: (height, width) in pixels of the image after its transforms.
    """
    return dataclasses.replace(
        no_objects(), size=np.asarray(size, np.int32), original_size=objects.size, image_id=objects.image_id
    )


def moved_objects(
    objects: AnnotatedObjects, moves: Sequence[Move], *, image_size: tuple[int, int], name: str
) -> ObjectTargets:
    """Returns the targets of an image that is learned from.

    Boxes are clipped, not fitted to what is left of a mask. An object whose box leaves the image leaves its row blank.

    Args:
      objects: its annotations.
      moves: those of its transforms, one after the other.
      image_size: (height, width) in pixels before the first of them.
      name: name of the example, for errors.
    """
    numbers = np.arange(image_size[0] * image_size[1], dtype=np.int32).reshape(image_size[::-1]).T
    targets = {"boxes": objects.boxes, "numbers": Mask(values=numbers, fill=_NOWHERE)}
    moved = move_targets(targets, moves, image_size=image_size, name=name)
    boxes, source = moved["boxes"].yxyx, moved["numbers"].values
    blank = without_objects(objects, size=source.shape)
    kept = np.flatnonzero(boxes.any(axis=1))
    blank.boxes.yxyx[kept], blank.label[kept] = boxes[kept], objects.label[kept]
    for row in kept.tolist():
        blank.masks[row] = _cells(objects.outlines[row], source, boxes[row], image_size=image_size)
    return blank


def _cells(
    outline: Outline,
    source: Int[np.ndarray, "height width"],
    yxyx: Float[np.ndarray, "4"],
    *,
    image_size: tuple[int, int],
) -> UInt8[np.ndarray, "cells cells"]:
    """Computes the share of each cell of a box that an object covers, 0..255.

    Args:
      outline: the object in the image of the file.
      source: for each pixel of the image as transformed, the number of its pixel there, column by column.
      yxyx: the box in the image as transformed.
      image_size: (height, width) in pixels of the image of the file.

    Source: MMDetection, `BitmapMasks.crop_and_resize`: RoIAlign with as many samples as a cell has pixels.
    """
    y0, x0, y1, x1 = yxyx.tolist()
    rows, columns = _Samples.of(y0, y1, pixels=source.shape[0]), _Samples.of(x0, x1, pixels=source.shape[1])
    shown = source[rows.window, columns.window]
    values = outline.bitmap(image_size).ravel(order="F")[shown].astype(np.float32)
    values[shown == _NOWHERE] = 0
    share = columns.averaged(rows.averaged(values).T).T
    return np.rint(255 * share).astype(np.uint8)


@dataclass(frozen=True, kw_only=True)
class _Samples:
    """Places along one axis at which the cells of a box are sampled, as many in each cell.

    Attributes:
      window: the pixels that they are interpolated between.
      before: for each sample the pixel before it, counted from the window's first one.
      share: for each sample, the weight in 0..1 of the pixel after it.
    """

    window: slice
    before: Int[np.ndarray, " samples"]
    share: Float[np.ndarray, " samples"]

    @classmethod
    def of(cls, low: float, high: float, *, pixels: int) -> "_Samples":
        """Places the samples between two ends of a box, evenly, and at least one a pixel."""
        count = OBJECT_MASK_SIZE * max(1, math.ceil((high - low) / OBJECT_MASK_SIZE))
        places = np.clip(low + (np.arange(count) + 0.5) * ((high - low) / count) - 0.5, 0, pixels - 1)
        before = places.astype(np.int64)
        window = slice(int(before[0]), min(int(before[-1]) + 2, pixels))
        return cls(window=window, before=before - before[0], share=(places - before).astype(np.float32))

    def averaged(self, values: Float[np.ndarray, "pixels others"]) -> Float[np.ndarray, "cells others"]:
        """Interpolates along the first axis, and averages the samples of each cell."""
        after = np.minimum(self.before + 1, len(values) - 1)
        share = self.share[:, None]
        samples = values[self.before] * (1 - share) + values[after] * share
        return samples.reshape(OBJECT_MASK_SIZE, -1, samples.shape[1]).mean(axis=1)
