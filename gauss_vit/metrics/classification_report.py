"""All metrics of a trained classifier, computed in one pass over the data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import jax
import numpy as np
from jaxtyping import Float, PyTree

from gauss_vit.metrics.class_report import Overall
from gauss_vit.metrics.confusion import Confusion
from gauss_vit.metrics.metric import Metric
from gauss_vit.metrics.real_labels import ReassessedMetric

_ACCURACIES = (("top-1", "top1"), ("top-5", "top5"))


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class ClassificationReport:
    """Metrics of a classifier that are merged as one.

    Attributes:
      classification: loss and accuracy against the one label.
      confusion: counts of predicted classes by true class.
      reassessed: accuracy against sets of labels, or None where there are none.
    """

    unit: ClassVar[str] = "images"
    count_name: ClassVar[str] = "num_examples"
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

    def shares(self) -> Mapping[str, Float[np.ndarray, " classes"]]:
        """Returns the `accuracy` of each class; NaN for a class without examples."""
        return {"accuracy": self.confusion.class_accuracy()}

    def overall(self) -> tuple[Overall, ...]:
        """Returns the accuracies with their counts, and the mean over classes."""
        values = self.compute()
        found = [_counted(title, values[name], values["num_examples"]) for title, name in _ACCURACIES]
        if "real_top1" in values:
            found.append(_counted("top-1, accepted labels", values["real_top1"], values["num_real_examples"]))
        return (*found, Overall(title="mean of classes", share=values["class_mean_top1"]))


def _counted(title: str, share: float, num: int | float) -> Overall:
    return Overall(title=title, share=share, num_correct=round(share * num), num=round(num))
