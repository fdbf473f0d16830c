"""The end of a process that waited too long: one line that says for what, the stacks of all threads in a file."""

import contextlib
import faulthandler
import os
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from gauss_vit.distributed.watchdog import Wait
from gauss_vit.errors import PeerError

CODE = "HANG"
_WRITING_SECONDS = 10.0


def end(wait: Wait, seconds: float, *, others: Sequence[str] = (), folder: Path) -> NoReturn:
    """Ends this process with status 6.

    Nothing here needs a lock that another thread may hold, or storage that answers: the line comes in any case.

    Args:
      wait: What was waited for.
      seconds: How long.
      others: What other processes of the run wait for, for the message and the file.
      folder: Folder for the stacks of all threads; standard error if it cannot be written within some seconds.
    """
    line = _line(wait, seconds, others)
    stacks = _within(_WRITING_SECONDS, line, folder)
    where = "the lines above" if stacks is None else str(stacks)
    do = "look there for what is stuck; the same command resumes from the newest checkpoint. If it is only slow, raise"
    if stacks is None:
        faulthandler.dump_traceback(file=2, all_threads=True)
    say(f"{line}; stacks of all threads in {where}. DO: {do} its limit (--config.limits)")
    os._exit(PeerError.exit_status)


def say(line: str) -> None:
    """Writes a line to standard error, whose buffer a stuck thread may hold."""
    with contextlib.suppress(OSError):
        os.write(2, f"{line}\n".encode(errors="backslashreplace"))


def _line(wait: Wait, seconds: float, others: Sequence[str]) -> str:
    told = f"; {'; '.join(others)}" if others else ""
    return f"gauss_vit: error[{CODE}]: waited {seconds:.0f} s for {wait.what}, limit {wait.limit:g} s{told}"


def _within(seconds: float, line: str, folder: Path) -> Path | None:
    """Writes the stacks to a new file; None if that fails, or takes longer because the storage is what is stuck."""
    written: list[Path] = []

    def write() -> None:
        with contextlib.suppress(OSError):
            handle, name = tempfile.mkstemp(prefix="hang-", suffix=".log", dir=folder)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(f"{line}\n\n{' '.join(sys.argv)}\n\n")
                file.flush()
                faulthandler.dump_traceback(file=file, all_threads=True)
            written.append(Path(name))

    thread = threading.Thread(target=write, name="stacks", daemon=True)
    thread.start()
    thread.join(seconds)
    return written[0] if written else None
