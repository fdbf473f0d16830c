"""Accuracy and loss of a classifier as sums that can be merged, so that counts are exact on any mesh."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class ClassificationMetric:
    """Sums over real examples.

    Attributes:
      loss_sum: scalar float, sum of the losses in nats.
      num_top1: scalar integer, number of examples whose class has the highest logit.
      num_top5: scalar integer, number of examples whose class is among the five highest logits.
      num_examples: scalar integer, number of examples.
    """

    loss_sum: PyTree
    num_top1: PyTree
    num_top5: PyTree
    num_examples: PyTree

    @classmethod
    def empty(cls) -> "ClassificationMetric":
        """Returns the sums of no examples, on the host in 64 bits, to start a sum over batches."""
        return cls(loss_sum=np.float64(0), num_top1=np.int64(0), num_top5=np.int64(0), num_examples=np.int64(0))

    @classmethod
    def of_batch(
        cls,
        logits: Float[Array, "batch classes"],
        label: Int[Array, " batch"],
        *,
        loss: Float[Array, " batch"],
        is_real: Bool[Array, " batch"],
    ) -> "ClassificationMetric":
        """Counts one batch without its padding.

        Of equal logits the lower class ranks first, as in `argmax`, so that a constant model scores no more than
        chance. An example of which a logit is NaN is never right.
        """
        of_label = jnp.take_along_axis(logits, label[:, None], axis=-1)
        classes = jnp.arange(logits.shape[-1], dtype=label.dtype)[None, :]
        is_ahead = (logits > of_label) | ((logits == of_label) & (classes < label[:, None]))
        rank = jnp.sum(is_ahead, axis=-1, dtype=jnp.int32)
        counts = is_real & ~jnp.any(jnp.isnan(logits), axis=-1)
        return cls(
            loss_sum=jnp.sum(jnp.where(is_real, loss, 0)),
            num_top1=jnp.sum(counts & (rank < 1), dtype=jnp.int32),
            num_top5=jnp.sum(counts & (rank < 5), dtype=jnp.int32),
            num_examples=jnp.sum(is_real, dtype=jnp.int32),
        )

    def merge(self, other: PyTree) -> "ClassificationMetric":
        """Adds another metric of this kind."""
        return jax.tree.map(lambda mine, theirs: mine + theirs, self, other)

    def compute(self) -> dict[str, float]:
        """Computes the means: `loss` in nats, `top1` and `top5` in 0..1, and the exact `num_examples`.

        Raises:
          ValueError: there are no examples.
        """
        num_examples = int(self.num_examples)
        if num_examples == 0:
            raise ValueError("a metric of no examples has no value")
        return {
            "loss": float(self.loss_sum) / num_examples,
            "top1": int(self.num_top1) / num_examples,
            "top5": int(self.num_top5) / num_examples,
            "num_examples": num_examples,
        }
