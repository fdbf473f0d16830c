"""How long the devices wait for input, from what the host sees without waiting for the devices.

A wait on the host costs nothing as long as the devices compute. Whether they still do when the batch has come is asked
of an array that the newest step computes (`jax.Array.is_ready`, which does not block). Where they became idle within
the wait, they are taken to have done so as long after the start of the step as a step took that the loop waited for.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from gauss_vit.train.wall_time import WallTime

Batch = TypeVar("Batch")


def _is_idle() -> bool:
    return True


class InputWait:
    """Counts as input what of each wait for a batch the devices were idle, and the rest as steps.

    Args:
      wall: Clock of the run, which is in the phase "step" around the waits.
    """

    def __init__(self, wall: WallTime):
        self._wall = wall
        self._is_idle = _is_idle
        self._started = 0.0
        self._started_idle = True
        self._step_seconds = 0.0

    def timed(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yields the batches, and counts the waits for them."""
        upcoming = iter(batches)
        while True:
            was_idle = self._is_idle()
            with self._wall.within("input"):
                start = self._wall.clock()
                batch = next(upcoming, None)
                busy = self._busy_seconds(start, was_idle=was_idle)
            self._wall.move(busy, source="input", target="step")
            if batch is None:
                return
            self._started_idle = self._is_idle()
            yield batch

    def follow(self, is_done: Callable[[], bool]) -> None:
        """Follows the step that was just started, the first one after a wait.

        Args:
          is_done: Function that returns, without blocking, whether the step has ended.
        """
        self._is_idle, self._started = is_done, self._wall.clock()

    def ended(self) -> None:
        """Notes that the step has just ended: it took that long, if nothing was before it."""
        if self._started_idle:
            self._step_seconds = self._wall.clock() - self._started

    def _busy_seconds(self, start: float, *, was_idle: bool) -> float:
        """Returns for how long of a wait that ends now the devices were busy."""
        waited = self._wall.clock() - start
        if was_idle:
            return 0.0
        if not self._is_idle():
            return waited
        return min(max(self._started + self._step_seconds - start, 0.0), waited)
