"""Accuracy on examples that each have a set of correct classes, as in ImageNet-ReaL."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class ReassessedMetric:
    """Counts of real examples that have at least one correct class; the others are left out.

    Attributes:
      num_correct: scalar integer, number of examples whose predicted class is among the correct ones.
      num_examples: scalar integer, number of examples.

    Source: Beyer et al., Are we done with ImageNet?, arXiv:2006.07159.
    """

    num_correct: PyTree
    num_examples: PyTree

    @classmethod
    def of_batch(
        cls,
        logits: Float[Array, "batch classes"],
        accepted: Bool[Array, "batch classes"],
        *,
        is_real: Bool[Array, " batch"],
    ) -> "ReassessedMetric":
        """Counts one batch.

        Args:
          logits: logits of the examples; of equal ones the lower class is predicted.
          accepted: True for the correct classes.
          is_real: False for padding.
        """
        answer = jnp.argmax(logits, axis=-1)[:, None]
        is_correct = jnp.take_along_axis(accepted, answer, axis=-1)[:, 0] & ~jnp.any(jnp.isnan(logits), axis=-1)
        counts = is_real & jnp.any(accepted, axis=-1)
        return cls(
            num_correct=jnp.sum(counts & is_correct, dtype=jnp.int32), num_examples=jnp.sum(counts, dtype=jnp.int32)
        )

    def merge(self, other: PyTree) -> "ReassessedMetric":
        """Adds another metric of this kind."""
        return jax.tree.map(lambda mine, theirs: mine + theirs, self, other)

    def compute(self) -> dict[str, float]:
        """Computes `real_top1` in 0..1 and the exact `num_real_examples`.

        Raises:
          ValueError: no example has a correct class.
        """
        num_examples = int(self.num_examples)
        if num_examples == 0:
            raise ValueError("no example has a correct class")
        return {"real_top1": int(self.num_correct) / num_examples, "num_real_examples": num_examples}
