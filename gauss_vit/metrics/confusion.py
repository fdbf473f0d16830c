"""The confusion matrix of a classifier, as counts that can be merged."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree


@dataclass(frozen=True, kw_only=True)
class ConfusedPair:
    """A class that is taken for another.

    Attributes:
      label: the true class.
      predicted: the class that it is taken for.
      count: number of examples of the true class for which that happens.
      num_examples: number of examples of the true class.
    """

    label: int
    predicted: int
    count: int
    num_examples: int


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Counts of real examples.

    Attributes:
      counts: integer [classes, classes]: row i, column j is the number of examples of class i whose highest logit is
        that of class j.
    """

    counts: PyTree

    @classmethod
    def of_batch(
        cls, logits: Float[Array, "batch classes"], label: Int[Array, " batch"], *, is_real: Bool[Array, " batch"]
    ) -> "Confusion":
        """Counts one batch; of equal logits the lower class is predicted, and examples with a NaN are not counted."""
        num_classes = logits.shape[-1]
        is_counted = is_real & ~jnp.any(jnp.isnan(logits), axis=-1)
        place = label * num_classes + jnp.argmax(logits, axis=-1).astype(label.dtype)
        counts = jnp.zeros(num_classes * num_classes, jnp.int32).at[place].add(is_counted.astype(jnp.int32))
        return cls(counts=counts.reshape(num_classes, num_classes))

    def merge(self, other: PyTree) -> "Confusion":
        """Adds the counts of other examples."""
        return jax.tree.map(lambda mine, theirs: mine + theirs, self, other)

    def compute(self) -> dict[str, float]:
        """Computes `class_mean_top1`: the mean accuracy of the classes that have examples, in 0..1.

        Raises:
          ValueError: there are no examples.
        """
        accuracy = self.class_accuracy()
        if np.all(np.isnan(accuracy)):
            raise ValueError("a confusion matrix of no examples has no value")
        return {"class_mean_top1": float(np.nanmean(accuracy))}

    def confused_pairs(self) -> tuple[ConfusedPair, ...]:
        """Lists the pairs of different classes that have a count, the most frequent first."""
        counts = np.asarray(self.counts)
        wrong = np.where(np.eye(len(counts), dtype=bool), 0, counts)
        label, predicted = np.nonzero(wrong)
        order = np.argsort(-wrong[label, predicted], kind="stable")
        num_examples = counts.sum(axis=1)
        return tuple(
            ConfusedPair(
                label=int(row),
                predicted=int(column),
                count=int(wrong[row, column]),
                num_examples=int(num_examples[row]),
            )
            for row, column in zip(label[order], predicted[order], strict=True)
        )

    def class_accuracy(self) -> Float[np.ndarray, " classes"]:
        """Computes the accuracy of each class; NaN for a class without examples."""
        counts = np.asarray(self.counts)
        num_examples = counts.sum(axis=1)
        return np.where(num_examples > 0, np.diag(counts) / np.maximum(num_examples, 1), np.nan)
