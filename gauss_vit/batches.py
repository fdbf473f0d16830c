"""Typed batches: the only thing that the input pipeline and the tasks share.

Batches are fixed in size. Where examples run out, the rest is padding and `is_real` is False there, so that counts stay
exact on any number of devices.
"""

from dataclasses import dataclass

import jax
from jaxtyping import PyTree


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class ClassificationBatch:
    """Images with one class each.

    Attributes:
      image: uint8 [batch, height, width, 3], RGB in 0..255, not normalised.
      label: int32 [batch], class indices; 0 in padding.
      is_real: bool [batch], False in padding.
      accepted: bool [batch, classes], every class that counts as right, where a data set names several (ImageNet-ReaL);
        None where the label is the only one.
      is_flipped: bool [batch], whether left and right of an image are still to be exchanged, which the train step does;
        None where no image is flipped.
    """

    image: PyTree
    label: PyTree
    is_real: PyTree
    accepted: PyTree = None
    is_flipped: PyTree = None
