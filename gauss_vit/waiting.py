"""Lines about work that takes long, so that a program that is silent for minutes does not look as if it hangs."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

AFTER_SECONDS = 2.0
EVERY_SECONDS = 30.0
_LOGGER = logging.getLogger(__name__)


def log(line: str) -> None:
    """Logs a line, which the command line shows on standard error and a run also in its train.log."""
    _LOGGER.info("%s", line)


@contextmanager
def announced(
    what: str,
    *,
    report: Callable[[str], None] = log,
    after_seconds: float = AFTER_SECONDS,
    every_seconds: float = EVERY_SECONDS,
) -> Iterator[None]:
    """Reports what is done within a `with` block once it takes long, then at intervals, and how long it took.

    Args:
      what: What is done, such as "compiling the training step".
      report: Function that is called with each line, from another thread.
      after_seconds: Seconds before the first line; a block that ends sooner is silent.
      every_seconds: Seconds between two lines.
    """
    is_done, start = threading.Event(), time.monotonic()

    def watch() -> None:
        if is_done.wait(after_seconds):
            return
        report(f"{what} ...")
        while not is_done.wait(every_seconds):
            report(f"{what}: {time.monotonic() - start:.0f} s")
        report(f"{what} took {time.monotonic() - start:.0f} s")

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        is_done.set()
        watcher.join()
