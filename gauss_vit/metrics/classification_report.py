"""All metrics of a trained classifier, computed in one pass over the data."""

from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import PyTree

from gauss_vit.metrics.confusion import Confusion
from gauss_vit.metrics.metric import Metric
from gauss_vit.metrics.real_labels import ReassessedMetric


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class ClassificationReport:
    """Metrics of a classifier that are merged as one.

    Attributes:
      classification: loss and accuracy against the one label.
      confusion: counts of predicted classes by true class.
      reassessed: accuracy against sets of labels, or None where there are none.
    """

    classification: Metric
    confusion: Confusion
    reassessed: ReassessedMetric | None = None

    def merge(self, other: PyTree) -> "ClassificationReport":
        """Adds the sums of other examples."""
        return jax.tree.map(lambda mine, theirs: mine + theirs, self, other)

    def compute(self) -> dict[str, float]:
        """Computes the values of all parts.

        Raises:
          ValueError: there are no examples.
        """
        reassessed = {} if self.reassessed is None else self.reassessed.compute()
        return {**self.classification.compute(), **self.confusion.compute(), **reassessed}

    def tables(self) -> dict[str, np.ndarray]:
        """Returns `counts` [classes, classes] (true class, predicted class) and `accuracy` [classes]."""
        return {"counts": np.asarray(self.confusion.counts), "accuracy": self.confusion.class_accuracy()}
