"""IoU, accuracy and loss of a segmentation, from a confusion matrix of pixels that merges exactly on any mesh."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Integer, PyTree

from gauss_vit.metrics.class_report import Overall
from gauss_vit.metrics.confusion import Confusion
from gauss_vit.ops.einsum import einsum
from gauss_vit.ops.losses import pixel_cross_entropy
from gauss_vit.ops.row_blocks import Resampling, map_row_blocks

_MOST_PIXELS = 2**31 - 1


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class SegmentationMetric:
    """Sums over the labelled pixels of real examples.

    Counts of one batch are of 32 bits on the device, so that a batch may have 2^31 - 1 pixels (8,191 masks of 512 x
    512); over batches they are added in 64 bits.

    Attributes:
      loss_sum: scalar float, sum of the losses of the pixels in nats.
      num_examples: scalar integer, number of examples.
      confusion: counts of pixels by label and predicted class.
    """

    unit: ClassVar[str] = "pixels"
    count_name: ClassVar[str] = "num_pixels"
    loss_sum: PyTree
    num_examples: PyTree
    confusion: Confusion

    @classmethod
    def of_batch(
        cls,
        logits: Float[Array, "batch h w classes"],
        resampling: Resampling,
        label: Integer[Array, "batch height width"],
        *,
        ignored: int,
        is_real: Bool[Array, " batch"],
    ) -> "SegmentationMetric":
        """Counts one batch without its padding.

        Of equal logits the lower class is predicted. NaN among them makes the loss NaN.

        Args:
          logits: logits of any size.
          resampling: their resampling to the size of the labels.
          label: class of every pixel.
          ignored: label of the pixels that count for nothing.
          is_real: False for padding.

        Raises:
          ValueError: the batch has too many pixels.
        """
        if label.size > _MOST_PIXELS:
            raise ValueError(f"a batch of {label.size:,} pixels is more than 32 bits count; use smaller batches")

        def sums(
            block: Float[Array, "batch rows width classes"], labels: tuple[Array, Array]
        ) -> tuple[Float[Array, " batch"], Int[Array, "batch classes classes"]]:
            label, is_counted = labels
            return summed_loss(block, label, is_counted), count_pairs(block, label, is_counted)

        is_counted = (label != ignored) & is_real[:, None, None]
        losses, counts = map_row_blocks(sums, logits, resampling, (label, is_counted))
        return cls(
            loss_sum=jnp.sum(losses),
            num_examples=jnp.sum(is_real, dtype=jnp.int32),
            confusion=Confusion(counts=jnp.sum(counts, axis=(0, 1), dtype=jnp.int32)),
        )

    def merge(self, other: PyTree) -> "SegmentationMetric":
        """Adds another metric of this kind."""
        return jax.tree.map(lambda mine, theirs: mine + theirs, self, other)

    def compute(self) -> dict[str, float]:
        """Computes means and exact counts; a mean of nothing is NaN.

        `loss` is the mean over labelled pixels, `miou` and `macc` the means of `shares` over the classes that have one,
        `aacc` the share of labelled pixels that are right, all but the loss in 0..1. `num_absent_classes` counts the
        classes that no pixel has and none is taken for, which `miou` leaves out; then `num_pixels`, those with a label,
        and `num_examples`.
        """
        counts = np.asarray(self.confusion.counts)
        num_pixels, shares = int(counts.sum()), self.shares()
        return {
            "loss": _share(float(self.loss_sum), num_pixels),
            "miou": _mean_of_known(shares["IoU"]),
            "macc": _mean_of_known(shares["accuracy"]),
            "aacc": _share(float(np.trace(counts)), num_pixels),
            "num_absent_classes": int(np.isnan(shares["IoU"]).sum()),
            "num_pixels": num_pixels,
            "num_examples": int(self.num_examples),
        }

    def shares(self) -> Mapping[str, Float[np.ndarray, " classes"]]:
        """Computes the `IoU` and the `accuracy` of each class, in 0..1.

        The IoU is the number of right pixels over those that have the class or are taken for it; NaN where none is. The
        accuracy is their number over those that have it; NaN where none has. A class that is predicted and never
        labelled has an IoU of 0 and no accuracy.

        Source: MMSegmentation's `IoUMetric`.
        """
        counts = np.asarray(self.confusion.counts)
        right, labelled, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
        union = labelled + predicted - right
        iou = np.where(union > 0, right / np.maximum(union, 1), np.nan)
        return {"IoU": iou, "accuracy": self.confusion.class_accuracy()}

    def overall(self) -> tuple[Overall, ...]:
        """Returns pixel accuracy and the means over classes."""
        values, counts = self.compute(), np.asarray(self.confusion.counts)
        return (
            Overall(title="aAcc", share=values["aacc"], num_correct=int(np.trace(counts)), num=int(counts.sum())),
            Overall(title="mIoU", share=values["miou"]),
            Overall(title="mAcc", share=values["macc"]),
        )


def summed_loss(
    logits: Float[Array, "batch rows width classes"],
    label: Integer[Array, "batch rows width"],
    is_counted: Bool[Array, "batch rows width"],
) -> Float[Array, " batch"]:
    """Sums the cross entropy of the pixels that count, in nats."""
    losses = pixel_cross_entropy(logits, jnp.where(is_counted, label, 0))
    return jnp.sum(jnp.where(is_counted, losses, 0), axis=(1, 2))


def count_pairs(
    logits: Float[Array, "batch rows width classes"],
    label: Integer[Array, "batch rows width"],
    is_counted: Bool[Array, "batch rows width"],
) -> Int[Array, "batch classes classes"]:
    """Counts, for each image, the pixels by label and by the class of the highest logit; of equal ones, the lower.

    A pixel of which a logit is NaN is wrong: it counts as one of the lowest class that is not its own.

    The counts are a product of two matrices of zeros and ones, in float32 and exact up to 2^24 pixels an image. On
    accelerators that is faster than to add one to a place for each pixel.
    """
    num_classes = logits.shape[-1]
    labels = jnp.where(is_counted, label.astype(jnp.int32), num_classes)
    highest = jnp.argmax(logits, axis=-1).astype(jnp.int32)
    classes = jnp.where(jnp.any(jnp.isnan(logits), axis=-1), (labels == 0).astype(jnp.int32), highest)
    pairs = einsum("byxl,byxc->blc", _ones_at(labels, num_classes), _ones_at(classes, num_classes), dtype=jnp.float32)
    return pairs.astype(jnp.int32)


def _ones_at(index: Int[Array, "batch rows width"], size: int) -> Float[Array, "batch rows width {size}"]:
    return jax.nn.one_hot(index, size, dtype=jnp.bfloat16)


def _share(part: float, whole: int) -> float:
    """Divides; nothing of nothing is NaN."""
    return part / whole if whole else math.nan


def _mean_of_known(shares: Float[np.ndarray, " classes"]) -> float:
    known = shares[~np.isnan(shares)]
    return float(known.mean()) if known.size else math.nan
