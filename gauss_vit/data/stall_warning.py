"""Warns while a run waits for data, so that a slow disk does not look like a hang."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

Batch = TypeVar("Batch")

REPORT_EVERY_SECONDS = 30.0


def announce_waits(
    batches: Iterator[Batch], *, report: Callable[[str], None], every_seconds: float = REPORT_EVERY_SECONDS
) -> Iterator[Batch]:
    """Yields the batches as they come, and reports at intervals that one is still awaited.

    Args:
      batches: any iterator.
      report: called with a line, from another thread.
      every_seconds: seconds that a batch may take before the first line, and between two lines.
    """
    while True:
        has_come = threading.Event()
        watch = threading.Thread(target=_watch, args=(has_come, report, every_seconds), daemon=True)
        watch.start()
        try:
            batch = next(batches)
        except StopIteration:
            return
        finally:
            has_come.set()
            watch.join()
        yield batch


def _watch(has_come: threading.Event, report: Callable[[str], None], every_seconds: float) -> None:
    """Reports until the batch has come."""
    start = time.monotonic()
    while not has_come.wait(every_seconds):
        report(f"waiting for data: {time.monotonic() - start:.0f} s")
