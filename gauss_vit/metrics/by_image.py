"""What a classifier says about each image, kept on the host beside the sums of an evaluation."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32, PyTree

from gauss_vit.metrics.metric import Metric, Sums


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class AssessedBatch:
    """The sums of a batch, and the classes of its images.

    Attributes:
      report: a metric.
      label: int32 [batch], class of each image.
      predicted: int32 [batch], class that is predicted for it (`predicted_classes`).
      is_real: bool [batch], False in padding and for images that do not count.
    """

    report: Metric
    label: PyTree
    predicted: PyTree
    is_real: PyTree


@dataclass(frozen=True, kw_only=True)
class ImagePredictions:
    """The classes of all images that count, in the order in which they were evaluated.

    Attributes:
      label: int32 [images], class of each image.
      predicted: int32 [images], class that is predicted for it; -1 where a logit is NaN.
    """

    label: Int32[np.ndarray, " images"]
    predicted: Int32[np.ndarray, " images"]


class AssessedImages:
    """A collector of sums, and of the classes of every image."""

    def __init__(self) -> None:
        self._sums = Sums()
        self._batches: list[tuple[np.ndarray, np.ndarray]] = []

    @property
    def metric(self) -> Metric | None:
        """The merged sums, or None before the first batch."""
        return self._sums.metric

    def add(self, results: AssessedBatch) -> None:
        """Adds one batch."""
        self._sums.add(results.report)
        is_real = np.asarray(results.is_real)
        self._batches.append((np.asarray(results.label)[is_real], np.asarray(results.predicted)[is_real]))

    def compute(self) -> dict[str, float]:
        """Computes the values of the merged metric; none before the first batch."""
        return self._sums.compute()

    def predictions(self) -> ImagePredictions:
        """Returns the classes of the images that were added."""
        none = np.zeros(0, np.int32)
        label, predicted = zip(*self._batches, strict=True) if self._batches else ((none,), (none,))
        return ImagePredictions(
            label=np.concatenate(label).astype(np.int32), predicted=np.concatenate(predicted).astype(np.int32)
        )


def predicted_classes(logits: Float[Array, "batch classes"]) -> Int32[Array, " batch"]:
    """Returns the class of the highest logit, the lower one of equal logits, and -1 where one is NaN."""
    highest = jnp.argmax(logits, axis=-1).astype(jnp.int32)
    return jnp.where(jnp.any(jnp.isnan(logits), axis=-1), jnp.int32(-1), highest)
