"""What a run waits for, each by its name and with its limit."""

import collections
import contextlib
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import jax
import numpy as np
from jaxtyping import PyTree

from gauss_vit.distributed import hang, peers, phases, processes
from gauss_vit.distributed.watchdog import Wait, Watchdog
from gauss_vit.train.limits import Limits

Item = TypeVar("Item")
Shapes = tuple[tuple[int, ...], ...]
"""Shapes of the arrays of a batch."""

_NUM_COMPILED = 2
_SLOWER = 10.0


@contextlib.contextmanager
def watched(folder: Path, limits: Limits) -> Iterator["Waits"]:
    """Watches over what happens within a `with` block: a wait over its limit ends the process with status 6.

    While another process of the run has time left for what it does, this one has, too.

    Args:
      folder: Folder for the stacks of a process that is stuck.
      limits: Limits of the waits.
    """

    def expired(wait: Wait, seconds: float) -> None:
        others = phases.of_others()
        if not peers.is_ending() and all(phase.left <= 0 for phase in others.values()):
            peers.leave(hang.error_of(wait, seconds, others=phases.listed(others), folder=folder))

    with Watchdog(expired, last_resort=processes.count() > 1) as watchdog, phases.told(watchdog):
        waits = Waits(watchdog, limits)
        with waits.running():
            yield waits


class Waits:
    """The waits of a run, which a watchdog watches over.

    Args:
      watchdog: Watchdog of the run.
      limits: Limits of the run.
    """

    def __init__(self, watchdog: Watchdog, limits: Limits):
        self._watchdog = watchdog
        self._limits = limits
        self._steps = _Repeated(watchdog, limits)

    def running(self) -> contextlib.AbstractContextManager[None]:
        """Limits whatever has no limit of its own."""
        return self._watchdog.limited("what comes before the next step", self._limits.compile)

    def restoring(self) -> contextlib.AbstractContextManager[None]:
        """Limits reading the newest checkpoint."""
        return self._watchdog.limited("the newest checkpoint to be read", self._limits.restore)

    def initializing(self) -> contextlib.AbstractContextManager[None]:
        """Limits making the initial parameters."""
        return self._watchdog.limited("the initial parameters", self._limits.restore)

    def step(self, step: int, *, shapes: Shapes = ()) -> contextlib.AbstractContextManager[None]:
        """Limits a training step on a batch of some shapes, for each of which it is compiled."""
        return self._steps.limited(f"training step {step}", shapes=shapes)

    def result(self, step: int) -> contextlib.AbstractContextManager[None]:
        """Limits the wait for the result of a training step that was started."""
        return self._watchdog.limited(f"the result of training step {step}", self._steps.limit)

    def saving(self, step: int) -> contextlib.AbstractContextManager[None]:
        """Limits saving the state of a step, which waits for the save before it."""
        return self._watchdog.limited(f"checkpoint {step}, or the one before it, to be saved", self._limits.save)

    def observing(self, step: int) -> contextlib.AbstractContextManager[None]:
        """Limits the observers at a step."""
        return self._watchdog.limited(f"the observers at step {step}", self._limits.observe)

    def batches(self, batches: Iterable[Item], *, of: str) -> Iterator[Item]:
        """Yields batches, and limits reading each."""
        return self._watchdog.each(batches, f"a batch of {of} to be read", self._limits.data)

    def measured(self, batches: Iterable[Item], *, of: str) -> Iterator[Item]:
        """Yields batches of an evaluation, and limits reading each and measuring it."""
        measured = _Repeated(self._watchdog, self._limits)
        for batch in self.batches(batches, of=of):
            with measured.limited(f"a batch of {of} to be measured", shapes=shapes_of(batch)):
                yield batch


def shapes_of(batch: PyTree) -> Shapes:
    """Returns the shapes of the arrays of a batch."""
    return tuple(np.shape(leaf) for leaf in jax.tree.leaves(batch))


class _Repeated:
    """Limits something that is done again and again, and is compiled at first, and for other shapes again."""

    def __init__(self, watchdog: Watchdog, limits: Limits):
        self._watchdog = watchdog
        self._limits = limits
        self._counts = collections.Counter[Shapes]()
        self._shapes: Shapes = ()
        self._slowest = 0.0

    @property
    def limit(self) -> float:
        """The longest that one of the same shapes as the last may take, in seconds."""
        return max(self._limits.step, _SLOWER * self._slowest) if self._is_compiled else self._limits.compile

    @property
    def _is_compiled(self) -> bool:
        return self._counts[self._shapes] >= _NUM_COMPILED

    @contextlib.contextmanager
    def limited(self, what: str, *, shapes: Shapes) -> Iterator[None]:
        """Limits it once: as a compilation at first, later by the slowest time before as well."""
        self._shapes = shapes
        start, is_compiled = time.monotonic(), self._is_compiled
        with self._watchdog.limited(what, self.limit):
            yield
        self._counts[shapes] += 1
        if is_compiled:
            self._slowest = max(self._slowest, time.monotonic() - start)
