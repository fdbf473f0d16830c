"""What orbax and tensorstore print about a failure, kept from the terminal: the error that is raised says it in a line.

Besides the exception that reaches this program, orbax logs the traceback in every thread that it passes, and callbacks
that were abandoned print theirs at any later time.
"""

import contextlib
import gc
import logging
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

_LOGGER = logging.getLogger(__name__)
_ORBAX_LOGS_TO = logging.getLogger("absl")


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Lets what orbax logs, and exceptions that nobody can catch, go to this package's log at level DEBUG."""
    unraisable, uncaught = sys.unraisablehook, sys.excepthook
    sys.unraisablehook = lambda found: _LOGGER.debug("abandoned: %s", found.exc_value)
    # Where C++ calls Python in a thread of its own, an exception goes to this hook.
    sys.excepthook = _log_uncaught
    _ORBAX_LOGS_TO.addFilter(_redirect)
    try:
        yield
    except BaseException:
        delete_abandoned()
        raise
    finally:
        _ORBAX_LOGS_TO.removeFilter(_redirect)
        sys.unraisablehook, sys.excepthook = unraisable, uncaught


def delete_abandoned() -> None:
    """Deletes the tasks that a failure abandoned while the hooks are in place: they tell so when they are deleted."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="coroutine .* was never awaited")
        gc.collect()


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    del kind, trace
    _LOGGER.debug("abandoned: %s", error)


def _redirect(record: logging.LogRecord) -> bool:
    """Returns whether a record is of another library than orbax; one of orbax is logged here instead."""
    if "/orbax/checkpoint/" not in Path(record.pathname).as_posix():
        return True
    _LOGGER.debug("orbax: %s", record.getMessage())
    return False
