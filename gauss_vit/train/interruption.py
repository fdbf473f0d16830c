"""Graceful stop of a run: a signal sets a flag, and the loop saves at its next step."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType

from gauss_vit.distributed import processes

EXIT_STATUS = 143
_HANGUP = "SIGHUP"
# By name: Windows has no SIGHUP, and is to be told what is missing instead (`main`).
_SIGNALS = tuple(number for number in signal.Signals if number.name in ("SIGTERM", "SIGINT", _HANGUP))
_ABANDONED_STATUS = 130
_SAME_SECONDS = 1.0

Handler = Callable[[int, FrameType | None], object] | int | None


class Interruption:
    """Handles SIGTERM, SIGINT and SIGHUP within a `with` block, in the main thread, as Python allows it in no other.

    SIGHUP comes when a terminal or an SSH connection closes; where it is ignored, as `nohup` has it, that remains so.

    Whoever does not want to wait for the save sends SIGTERM, or the first signal, again: the process ends at once. It
    does so even where the main thread is stuck in a save, as a thread of its own reads the signals. Of Ctrl-C the
    second one only prints that saving is under way, and the third one counts. Schedulers and shells send the same
    signal twice at times, to a process and to its group: what comes within a second is the same one. Leaving is safe:
    an unfinished checkpoint is never taken for a finished one.

    Of many processes a signal to one stops all, at the same call of `is_requested`, which all call equally often.
    """

    def __init__(self) -> None:
        self._name = ""
        self._first = 0
        self._first_time = 0.0
        self._num_presses = 0
        self._num_turns = 0
        self._is_agreed = False
        self._previous: dict[signal.Signals, Handler] = {}
        self._previous_fd = -1
        self._reader: threading.Thread | None = None
        self._written = -1

    def __enter__(self) -> "Interruption":
        """Installs the handlers."""
        if threading.current_thread() is threading.main_thread():
            read, self._written = os.pipe()
            os.set_blocking(self._written, False)
            self._reader = threading.Thread(target=self._read, args=(read,), name="signals", daemon=True)
            self._reader.start()
            self._previous_fd = signal.set_wakeup_fd(self._written, warn_on_full_buffer=False)
            handled = [number for number in _SIGNALS if not _is_ignored_hangup(number)]
            self._previous = {number: signal.signal(number, self._receive) for number in handled}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restores the earlier handlers."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if self._reader is not None:
            signal.set_wakeup_fd(self._previous_fd)
            os.close(self._written)
            self._reader.join()

    @property
    def name(self) -> str:
        """The first signal that came, such as "SIGTERM"; empty if there was none, or not all processes stop for it."""
        if processes.count() == 1:
            return self._name
        return processes.reason_to_stop() if self._is_agreed else ""

    def is_requested(self) -> bool:
        """Whether the run is to stop."""
        if processes.count() == 1:
            return bool(self._name)
        if not self._is_agreed:
            self._num_turns += 1
            self._is_agreed = processes.is_stop_agreed(self._num_turns)
        return self._is_agreed

    def _receive(self, number: int, frame: FrameType | None) -> None:
        """Records a signal. Logging is not safe in a handler."""
        if not self._name:
            self._name = signal.Signals(number).name

    def _read(self, signals: int) -> None:
        """Reads, in a thread, every signal that comes, whatever the main thread is doing."""
        with open(signals, "rb", buffering=0) as pipe:
            while received := pipe.read(1):
                self._count(received[0])

    def _count(self, number: int) -> None:
        """Counts a signal, and ends the process if the run was told to stop before."""
        if not self._first:
            self._first, self._first_time = number, time.monotonic()
            self._receive(number, None)
            processes.ask_to_stop(self._name)
        elif number == signal.SIGINT:
            self._num_presses += 1
            if self._num_presses > 1:
                self._abandon(number)
            _say("already saving; press again to abandon")
        elif number in (signal.SIGTERM, self._first) and time.monotonic() - self._first_time > _SAME_SECONDS:
            self._abandon(number)

    def _abandon(self, number: int) -> None:
        _say(f"gauss_vit: {signal.Signals(number).name} again: ended before the state was saved")
        os._exit(_ABANDONED_STATUS)


def _say(line: str) -> None:
    """Writes a line to standard error; one that is full or gone keeps no process from ending."""
    with contextlib.suppress(OSError):
        os.write(2, f"{line}\n".encode())


def _is_ignored_hangup(number: signal.Signals) -> bool:
    return number.name == _HANGUP and signal.getsignal(number) is signal.SIG_IGN
