"""Typed batches: the only thing that the input pipeline and the tasks share.

A batch has a fixed size. Where examples run out, the rest is padding and `is_real` is False there, so that counts stay
exact on any number of devices. What a task learns from is a pytree of its own, `targets`.
"""

from dataclasses import dataclass, field

import jax
import numpy as np
from jaxtyping import Bool, PyTree, UInt8

BATCH_AXES = ("slices", "data", "fsdp")
"""Axes of a mesh of devices that a batch is split over (`train.mesh`)."""

IGNORED = 255
"""Class index of the pixels of a mask that count for nothing; so a mask has at most 255 classes, 0..254."""

MAX_OBJECTS = 100
"""Rows for the objects of an image, as many as one detects at most. Of more objects the largest are kept."""

OBJECT_MASK_SIZE = 112
"""Cells along each side of the mask of an object, four times those that a mask head predicts."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Batch:
    """Images with the targets of a task.

    Attributes:
      image: uint8 [batch, height, width, 3], RGB in 0..255, not normalised.
      is_real: bool [batch], False in padding.
      targets: the task's pytree of arrays [batch, ...], such as `ClassTargets` or `MaskTargets`; blank in padding. A
        `Mask` or `Boxes` in it moves with the image.
      is_flipped: bool [batch], whether the train step is still to flip an image horizontally, with the masks and boxes
        among its targets; None where no image is flipped.
    """

    image: PyTree
    is_real: PyTree
    targets: PyTree
    is_flipped: PyTree = None


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class ClassTargets:
    """One class for each image; without the batch axis, of a single example.

    Attributes:
      label: int32 [batch], class indices.
      accepted: bool [batch, classes], every class that counts as right, where a data set names several (ImageNet-ReaL);
        None where the label is the only one.
    """

    label: PyTree
    accepted: PyTree = None


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Mask:
    """A value for each pixel, among the targets of a task; transforms move it with the image.

    Attributes:
      values: uint8 or int32 [batch, height, width]; without the batch axis, of a single example.
      fill: value of the pixels that are filled in where an image is moved or padded, such as an ignored class.
    """

    values: PyTree
    fill: int = field(default=IGNORED, metadata={"static": True})


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class MaskTargets:
    """A class for each pixel; without the batch axis, of a single example.

    In training a mask has the size of the image. Where whole images are evaluated it keeps the size of the file, on a
    canvas of one size for all masks of the batch, whose rest is ignored.

    Attributes:
      mask: class indices, uint8 [batch, height, width]; those equal to its `fill`, `IGNORED`, count for nothing.
      size: int32 [batch, 2], the (height, width) in pixels of each mask, which is in the top left corner of its canvas;
        None where every mask fills it.
    """

    mask: Mask
    size: PyTree = None


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Boxes:
    """Boxes in an image, among the targets of a task; transforms move them with the image.

    Attributes:
      yxyx: float32 [batch, boxes, 4]; without the batch axis, of a single example. (y0, x0, y1, x1) in pixels from the
        top left corner of the image, so that the pixel in row i and column j is (i, j, i + 1, j + 1). A row of zeros is
        not a box: it is padding, or a box that left the image. Rows keep their order, so that other arrays can describe
        the boxes row by row.
    """

    yxyx: PyTree


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class ObjectTargets:
    """The objects in an image, for detection; without the batch axis, of a single example.

    An image is in the top left corner of its batch, whose images have one size. A row is an object, or is zeros. Where
    whole images are evaluated all rows are zeros: the truth is that of the source. Crowds are no objects.

    Attributes:
      boxes: float32 [batch, objects, 4] in pixels of the batch's images, as transformed.
      label: int32 [batch, objects], class indices.
      masks: uint8 [batch, objects, 112, 112], each over the object's own box: the share of every cell that the object
        covers, 0..255 for 0..1.
      size: int32 [batch, 2], the (height, width) of the image without padding, in pixels.
      original_size: int32 [batch, 2], the (height, width) in pixels of the upright image in its file.
      image_id: int32 [batch], the number of the image in its data set; -1 in padding.
    """

    boxes: Boxes
    label: PyTree
    masks: PyTree
    size: PyTree
    original_size: PyTree
    image_id: PyTree


def no_objects() -> ObjectTargets:
    """Returns the targets of an image without objects, of no size: what padding has.

    >>> no_objects().boxes.yxyx.shape
    (100, 4)
    """
    return ObjectTargets(
        boxes=Boxes(yxyx=np.zeros((MAX_OBJECTS, 4), np.float32)),
        label=np.zeros(MAX_OBJECTS, np.int32),
        masks=np.zeros((MAX_OBJECTS, OBJECT_MASK_SIZE, OBJECT_MASK_SIZE), np.uint8),
        size=np.zeros(2, np.int32),
        original_size=np.zeros(2, np.int32),
        image_id=np.int32(-1),
    )


def has_signal(images: UInt8[np.ndarray, "batch height width 3"]) -> Bool[np.ndarray, " batch"]:
    """Returns which images are of more than one colour; one that is black everywhere says nothing about positions.

    >>> has_signal(np.zeros((1, 2, 3, 3), np.uint8))
    array([False])
    """
    return (images != images[:, :1, :1]).any(axis=(1, 2, 3))


def is_geometry(node: object) -> bool:
    """Returns whether a node of the targets moves with the image; an `is_leaf` for `jax.tree.map`."""
    return isinstance(node, Mask | Boxes)
