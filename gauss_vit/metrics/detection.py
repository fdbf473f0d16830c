"""What a detector is measured by while it trains: the terms of its loss, and how often its samples are classified."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Mean:
    """A sum and the count that divides it.

    Attributes:
      total: scalar float.
      count: scalar float, at least 0; where it is 0, so is the sum.
    """

    total: PyTree
    count: PyTree

    def value(self) -> Float[Array, ""]:
        """Divides on the device; 0 of nothing."""
        return self.total / jnp.maximum(self.count, 1)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class DetectionMetric:
    """Sums over the samples of real training images.

    Attributes:
      losses: terms of the loss by name.
      shares: shares of samples by name.
      num_examples: scalar integer, number of images.
    """

    losses: Mapping[str, Mean]
    shares: Mapping[str, Mean]
    num_examples: PyTree

    def merge(self, other: PyTree) -> "DetectionMetric":
        """Adds another metric of this kind."""
        return jax.tree.map(lambda mine, theirs: mine + theirs, self, other)

    def compute(self) -> dict[str, float]:
        """Computes `loss`, the sum of its terms, each term and share under its name, and `num_examples`.

        A mean of nothing is NaN, and adds nothing to `loss`.
        """
        terms = {name: _divided(mean) for name, mean in self.losses.items()}
        return {
            "loss": sum((value for value in terms.values() if not math.isnan(value)), 0.0),
            **terms,
            **{name: _divided(mean) for name, mean in self.shares.items()},
            "num_examples": int(self.num_examples),
        }


def _divided(mean: Mean) -> float:
    count = float(mean.count)
    return float(mean.total) / count if count else math.nan
