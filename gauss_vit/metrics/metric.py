"""Metrics over a data set: sums that are merged, and collectors that gather results on the host."""

from typing import Protocol, runtime_checkable

import jax
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import PyTree, Shaped


@runtime_checkable
class Metric(Protocol):
    """Sums over examples: a pytree of numbers and arrays that `merge` adds leaf by leaf."""

    def merge(self, other: "Metric") -> "Metric":
        """Adds the sums of other examples."""
        ...

    def compute(self) -> dict[str, float]:
        """Computes the named values, each a Python number."""
        ...


@runtime_checkable
class Collector(Protocol):
    """Gathers the results of batches on the host, such as predictions for each image."""

    def add(self, results: PyTree) -> None:
        """Adds the results of one batch, as NumPy arrays from all processes; results by image include padding."""
        ...

    def compute(self) -> dict[str, float]:
        """Computes the named values of everything that was added."""
        ...


class Sums:
    """A collector that merges metrics in 64 bits.

    Attributes:
      metric: The merged sums, or None before the first batch.
    """

    def __init__(self) -> None:
        self.metric: Metric | None = None

    def add(self, results: Metric) -> None:
        """Merges the sums of one batch."""
        sums = to_host(results)
        self.metric = sums if self.metric is None else self.metric.merge(sums)

    def compute(self) -> dict[str, float]:
        """Computes the values of the merged metric; none before the first batch."""
        return {} if self.metric is None else self.metric.compute()


def to_host(metric: Metric) -> Metric:
    """Widens sums to 64 bits on the host, so that counts do not overflow and losses do not lose precision."""
    return jax.tree.map(widen, metric)


def widen(sums: ArrayLike) -> Shaped[np.ndarray, "..."]:
    """Converts integers to int64 and floats to float64."""
    values = np.asarray(sums)
    return values.astype(np.int64 if np.issubdtype(values.dtype, np.integer) else np.float64)
