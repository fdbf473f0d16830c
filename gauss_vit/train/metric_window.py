"""The sums of the training metric between two progress lines, and the check that every update was finite.

An outcome is read after the next update was started: waiting for it at once would leave the devices idle.
"""

import math
from collections.abc import Callable

import jax
import numpy as np

from gauss_vit.config.schema import JsonValue
from gauss_vit.errors import DivergedError
from gauss_vit.metrics.metric import Metric, to_host, widen
from gauss_vit.train.step import Outcome

Explain = Callable[[int, Outcome], DivergedError]


class MetricWindow:
    """Accumulates the outcomes of updates.

    Args:
      leaves: Sums that an earlier process had when it saved, as `leaves` returned them.
      explain: Function of an outcome on the host that is not finite and the number of its update; builds the error.
    """

    def __init__(self, leaves: tuple[JsonValue, ...], *, explain: Explain):
        self._restored = leaves
        self._explain = explain
        self._sums: Metric | None = None
        self._waiting: tuple[int, Outcome] | None = None
        self._gradient_norm = math.nan

    def take(self, step: int, outcome: Outcome) -> None:
        """Stores the outcome of an update, and settles the one before it.

        Raises:
          DivergedError: the one before it was not finite.
        """
        self.settle()
        self._waiting = (step, outcome)

    def settle(self) -> None:
        """Waits for the stored outcome, checks it and adds it.

        Raises:
          DivergedError: it was not finite.
        """
        if self._waiting is None:
            return
        step, outcome = self._waiting[0], jax.device_get(self._waiting[1])
        self._waiting = None
        if not outcome.is_finite:
            raise self._explain(step, outcome)
        self._gradient_norm = float(outcome.gradient_norm)
        self._add(to_host(outcome.metric))

    def values(self) -> dict[str, float]:
        """Computes the metric of the window, and the gradient norm of its last update."""
        self.settle()
        values = {} if self._sums is None else self._sums.compute()
        return {**values, "gradient_norm": self._gradient_norm}

    def leaves(self) -> tuple[JsonValue, ...]:
        """Returns the sums as values that JSON stores without loss: numbers, and lists of arrays."""
        self.settle()
        return self._restored if self._sums is None else tuple(leaf.tolist() for leaf in jax.tree.leaves(self._sums))

    def restart(self) -> None:
        """Starts an empty window."""
        self._sums, self._restored = None, ()

    def _add(self, metric: Metric) -> None:
        """Adds sums, in the order of the steps, so that rounding is the same after a resume."""
        leaves = [widen(np.asarray(leaf)) for leaf in self._restored]
        # A resume that overrides the task may have other sums, which begin anew.
        if [leaf.shape for leaf in leaves] == [np.shape(leaf) for leaf in jax.tree.leaves(metric)]:
            self._sums = jax.tree.unflatten(jax.tree.structure(metric), leaves)
        self._restored = ()
        self._sums = metric if self._sums is None else self._sums.merge(metric)


def skipped(values: dict[str, float], *, num_places: int) -> dict[str, int]:
    """Counts the examples that an interval's batches lack because images were skipped, as `num_skipped`; empty if none.

    It follows from the sums, so that it is the same after a resume.
    """
    missing = num_places - int(values["num_examples"]) if "num_examples" in values else 0
    return {"num_skipped": missing} if missing else {}
