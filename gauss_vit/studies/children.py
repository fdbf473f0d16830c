"""Processes that carry out runs, one at a time, and the signals that are passed on to them."""

import contextlib
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from gauss_vit.errors import StorageError, storage_error
from gauss_vit.escaping import escaped
from gauss_vit.files import append_text, make_folder, read_lines

_PASSED_ON = tuple(number for number in signal.Signals if number.name in ("SIGTERM", "SIGINT", "SIGHUP"))
_POLL_SECONDS = 0.2
_HEADING = "$ "


class Children:
    """Starts processes and waits for them. Within `passing_signals`, what this process is told they are told as well.

    Attributes:
      stopped_by: name of the first signal that came; empty if none did.
    """

    def __init__(self) -> None:
        self.stopped_by = ""
        self._running: subprocess.Popen[bytes] | None = None

    def run(self, command: tuple[str, ...], *, log: Path, tick: Callable[[], None]) -> int:
        """Runs a command to its end, and returns its exit status; the negative number of a signal that killed it.

        Args:
          command: program and arguments.
          log: file that its output is appended to.
          tick: function that is called while it runs, several times a second.

        Raises:
          StorageError: the log cannot be written.
        """
        with _opened(log, heading=f"{_HEADING}{shlex.join(command)}") as output:
            self._running = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
            if self.stopped_by:
                # The signal came before there was a process to tell.
                self._running.send_signal(signal.SIGTERM)
            try:
                while (status := self._running.poll()) is None:
                    tick()
                    time.sleep(_POLL_SECONDS)
            except BaseException:
                self._running.terminate()
                self._running.wait()
                raise
            finally:
                self._running = None
        return status

    @contextlib.contextmanager
    def passing_signals(self) -> Iterator[None]:
        """Passes SIGTERM, SIGINT and SIGHUP on to the running process as SIGTERM, so that it saves and ends.

        A scheduler may have told it already: there, what comes within a second is the same signal. A terminal tells it
        of every Ctrl-C, so that the second one, which is to do no harm, is not passed on.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handled = [number for number in _PASSED_ON if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, self._pass_on) for number in handled}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        is_first, self.stopped_by = not self.stopped_by, self.stopped_by or signal.Signals(number).name
        if self._running is not None and self._running.poll() is None and (is_first or number != signal.SIGINT):
            self._running.send_signal(signal.SIGTERM)


@contextlib.contextmanager
def _opened(log: Path, *, heading: str) -> Iterator[int]:
    """Opens a log to append to it, after a line that says what is run."""
    try:
        make_folder(log.parent)
        file = append_text(log)
        file.write(f"{escaped(heading)}\n")
        file.flush()
    except OSError as error:
        raise storage_error(error, f"cannot write {log}") from error
    with file:
        yield file.fileno()


def last_error(log: Path) -> str:
    """Returns the line of a log that explains why its last program ended; the last line of all where none does.

    Raises:
      StorageError: the log cannot be read.
    """
    last = error_line = ""
    try:
        for line in read_lines(log):
            if line.startswith(_HEADING):
                last = error_line = ""
                continue
            last = line.strip() or last
            error_line = last if "error[" in line else error_line
    except OSError as error:
        raise StorageError(f"cannot read {log}: {error.strerror or error}") from error
    return error_line or last
