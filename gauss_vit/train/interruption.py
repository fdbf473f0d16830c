"""Graceful stop of a run: a signal sets a flag, and the loop saves at its next step."""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType

EXIT_STATUS = 143
_HANGUP = "SIGHUP"
# By name: Windows has no SIGHUP, and is to be told what is missing instead (`main`).
_SIGNALS = tuple(number for number in signal.Signals if number.name in ("SIGTERM", "SIGINT", _HANGUP))
_ABANDONED_STATUS = 130

Handler = Callable[[int, FrameType | None], object] | int | None


class Interruption:
    """Handles SIGTERM, SIGINT and SIGHUP within a `with` block, in the main thread, as Python allows it in no other.

    SIGHUP comes when a terminal or an SSH connection closes; where it is ignored, as `nohup` has it, that remains so.
    A second Ctrl-C only prints that saving is under way, and a third one ends the process at once. That is safe: an
    unfinished checkpoint is never taken for a finished one.
    """

    def __init__(self) -> None:
        self._name = ""
        self._num_repeats = 0
        self._previous: dict[signal.Signals, Handler] = {}

    def __enter__(self) -> "Interruption":
        """Installs the handlers."""
        if threading.current_thread() is threading.main_thread():
            handled = [number for number in _SIGNALS if not _is_ignored_hangup(number)]
            self._previous = {number: signal.signal(number, self._receive) for number in handled}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restores the earlier handlers."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @property
    def name(self) -> str:
        """The first signal that came, such as "SIGTERM"; empty if there was none."""
        return self._name

    def is_requested(self) -> bool:
        """Whether the run is to stop."""
        return bool(self._name)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        """Records a signal. Logging is not safe in a handler; a bare write is."""
        if not self._name:
            self._name = signal.Signals(number).name
        elif number == signal.SIGINT:
            self._num_repeats += 1
            if self._num_repeats > 1:
                os._exit(_ABANDONED_STATUS)
            os.write(2, b"already saving; press again to abandon\n")


def _is_ignored_hangup(number: signal.Signals) -> bool:
    return number.name == _HANGUP and signal.getsignal(number) is signal.SIG_IGN
