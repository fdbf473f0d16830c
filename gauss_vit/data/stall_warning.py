"""Warns while a run waits for data, so that a slow disk does not look like a hang."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

Batch = TypeVar("Batch")

REPORT_AFTER_SECONDS = 2.0
REPORT_EVERY_SECONDS = 30.0


def announce_waits(
    batches: Iterator[Batch],
    *,
    report: Callable[[str], None],
    after_seconds: float = REPORT_AFTER_SECONDS,
    every_seconds: float = REPORT_EVERY_SECONDS,
) -> Iterator[Batch]:
    """Yields the batches as they come, and reports at intervals that one is still awaited.

    Args:
      batches: any iterator.
      report: called with a line, from another thread.
      after_seconds: seconds that a batch may take before a line.
      every_seconds: seconds between two lines, also of different batches: a slow disk does not fill the log.
    """
    next_report = time.monotonic()
    while True:
        has_come = threading.Event()
        start = time.monotonic()
        first_after = max(after_seconds, next_report - start)
        watch = _Watch(has_come, report, first_after=first_after, every_seconds=every_seconds)
        watch.start()
        try:
            batch = next(batches)
        except StopIteration:
            return
        finally:
            has_come.set()
            watch.join()
        if watch.num_reports:
            next_report = time.monotonic() + every_seconds
        yield batch


class _Watch(threading.Thread):
    """Reports until the batch has come."""

    def __init__(
        self,
        has_come: threading.Event,
        report: Callable[[str], None],
        *,
        first_after: float,
        every_seconds: float,
    ):
        super().__init__(daemon=True)
        self.num_reports = 0
        self._has_come = has_come
        self._report = report
        self._first_after = first_after
        self._every_seconds = every_seconds

    def run(self) -> None:
        """Waits and reports."""
        start, patience = time.monotonic(), self._first_after
        while not self._has_come.wait(patience):
            self._report(f"waiting for data: {time.monotonic() - start:.0f} s")
            self.num_reports += 1
            patience = self._every_seconds
