"""Typed batches: the only thing that the input pipeline and the tasks share.

A batch has a fixed size. Where examples run out, the rest is padding and `is_real` is False there, so that counts stay
exact on any number of devices. What a task learns from is a pytree of its own, `targets`.
"""

from dataclasses import dataclass

import jax
from jaxtyping import PyTree

BATCH_AXES = ("data", "fsdp")
"""Axes of a mesh of devices; a batch is split over both (`train.mesh`)."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Batch:
    """Images with the targets of a task.

    Attributes:
      image: uint8 [batch, height, width, 3], RGB in 0..255, not normalised.
      is_real: bool [batch], False in padding.
      targets: the task's pytree of arrays [batch, ...], such as `ClassTargets`; zeros in padding.
      is_flipped: bool [batch], whether the train step is still to flip an image horizontally; None where no image is
        flipped.
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
