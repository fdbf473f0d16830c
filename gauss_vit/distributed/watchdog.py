"""The watchdog of a run: whatever it waits for has a name and a limit, and no wait is longer than its limit.

It is a thread that looks once a second what the run waits for, so that a step of the run pays for two assignments. It
works while the main thread is stuck in a computation, a read or a lock.
"""

import contextlib
import dataclasses
import faulthandler
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import TypeVar

Item = TypeVar("Item")

EVERY_SECONDS = 1.0
_GRACE_SECONDS = 60.0


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Wait:
    """What is waited for.

    Attributes:
      what: What it is, such as "training step 17".
      limit: The longest that it may take, in seconds.
    """

    what: str
    limit: float


Expired = Callable[[Wait, float], None]
"""Function of a wait that is over its limit and the seconds that it took so far; it ends the process, or returns."""


class Watchdog:
    """Watches over the waits within a `with` block.

    Of waits within each other the innermost counts, and the outer one begins anew after it. Seconds in which the whole
    process is suspended, as by Ctrl-Z or a debugger, do not count.

    Args:
      expired: Function that is called, from the thread, as long as a wait is over its limit.
      last_resort: Whether the process ends, with the stacks of all threads and status 1, where this thread cannot run,
        as when another one is stuck with the interpreter's lock. A process that is suspended for longer than a limit
        then ends too.
      every_seconds: Seconds between two looks.
    """

    def __init__(
        self,
        expired: Expired,
        *,
        last_resort: bool = False,
        every_seconds: float = EVERY_SECONDS,
    ):
        self._expired = expired
        self._has_last_resort = last_resort
        self._every_seconds = every_seconds
        self._current: Wait | None = None
        self._seen: tuple[Wait | None, float] = (None, 0.0)
        self._is_done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> "Watchdog":
        """Starts to watch."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops to watch."""
        self._is_done.set()
        self._thread.join()
        if self._has_last_resort:
            faulthandler.cancel_dump_traceback_later()

    @contextlib.contextmanager
    def limited(self, what: str, limit: float) -> Iterator[None]:
        """Limits what happens within a `with` block, in seconds."""
        outer, self._current = self._current, Wait(what=what, limit=limit)
        try:
            yield
        finally:
            self._current = None if outer is None else dataclasses.replace(outer)

    def each(self, items: Iterable[Item], what: str, limit: float) -> Iterator[Item]:
        """Yields the items, each of which may take as long as the limit to come."""
        upcoming = iter(items)
        while True:
            with self.limited(what, limit):
                try:
                    item = next(upcoming)
                except StopIteration:
                    return
            yield item

    def now(self) -> tuple[Wait | None, float]:
        """Returns what was waited for when the thread looked last, and for how many seconds; 0 where it was nothing."""
        return self._seen

    def _watch(self) -> None:
        """Adds up the seconds of the current wait, which are those in which this thread runs as well."""
        seen, waited, before = self._current, 0.0, time.monotonic()
        while not self._is_done.wait(self._every_seconds):
            now = time.monotonic()
            passed, before = min(now - before, 2 * self._every_seconds), now
            current = self._current
            waited = waited + passed if current is seen and current is not None else 0.0
            seen, self._seen = current, (current, waited)
            if self._has_last_resort:
                _postpone(math.inf if current is None else max(current.limit - waited, 0.0) + _GRACE_SECONDS)
            if current is not None and waited >= current.limit:
                self._expired(current, waited)


def _postpone(seconds: float) -> None:
    """Ends the process after so many seconds, unless it is postponed again."""
    if math.isinf(seconds):
        faulthandler.cancel_dump_traceback_later()
    else:
        faulthandler.dump_traceback_later(seconds, exit=True)
