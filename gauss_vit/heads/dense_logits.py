"""What the heads of dense tasks return: logits of every class at the pixels of a grid."""

from dataclasses import dataclass

import jax
from jaxtyping import PyTree


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class DenseLogits:
    """Logits of the classes on a grid over each image, in float32.

    The grids are coarser than the image, at a quarter of its sides and a sixteenth for a backbone with patches of 4
    pixels. A task resizes them to the image.

    Attributes:
      logits: [batch, rows, columns, classes].
      auxiliary: [batch, auxiliary_rows, auxiliary_columns, classes], logits of an auxiliary head, for its loss; None
        without one, and where predictions of several views of an image were averaged.
    """

    logits: PyTree
    auxiliary: PyTree = None
