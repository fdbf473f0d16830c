"""Words for a run that stands still because its data are slow, so that nobody takes it for dead."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

Batch = TypeVar("Batch")

REPORT_EVERY_SECONDS = 30.0


def announce_waits(
    batches: Iterator[Batch], *, report: Callable[[str], None], every_seconds: float = REPORT_EVERY_SECONDS
) -> Iterator[Batch]:
    """Gives the batches as they come, and says every so often that one is still awaited.

    Args:
      batches: in order.
      report: called with a line, from a thread of its own.
      every_seconds: how long a batch may take before the first line, and between two.
    """
    while True:
        is_there = threading.Event()
        watch = threading.Thread(target=_watch, args=(is_there, report, every_seconds), daemon=True)
        watch.start()
        try:
            batch = next(batches)
        except StopIteration:
            return
        finally:
            is_there.set()
            watch.join()
        yield batch


def _watch(is_there: threading.Event, report: Callable[[str], None], every_seconds: float) -> None:
    """Reports until the batch is there."""
    start = time.monotonic()
    while not is_there.wait(every_seconds):
        report(f"waiting for data: {time.monotonic() - start:.0f} s")
