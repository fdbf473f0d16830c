"""The error of a process that waited too long: it says for what, with the stacks of all threads in a file."""

import contextlib
import faulthandler
import os
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from gauss_vit.distributed import ending
from gauss_vit.distributed.watchdog import Wait
from gauss_vit.errors import PeerError

CODE = "HANG"
_RESUME = (
    "look there for what is stuck; started again, the same command resumes a run."
    " If it is only slow, raise its limit (--config.limits)"
)
_WRITING_SECONDS = 10.0


def end(wait: Wait, seconds: float, *, folder: Path, do: str = _RESUME) -> NoReturn:
    """Ends this process, whatever its other threads are stuck in, with the error of a wait."""
    ending.at_once(error_of(wait, seconds, folder=folder, do=do))


def error_of(wait: Wait, seconds: float, *, others: Sequence[str] = (), folder: Path, do: str = _RESUME) -> PeerError:
    """Builds the error, and writes the stacks.

    Nothing here needs a lock that another thread may hold, or storage that answers.

    Args:
      wait: What was waited for.
      seconds: How long.
      others: What other processes of the run wait for.
      folder: Folder for the stacks of all threads; standard error if it cannot be written within some seconds.
      do: What to do about it.
    """
    told = f"; {'; '.join(others)}" if others else ""
    what = f"waited {seconds:.0f} s for {wait.what}, limit {wait.limit:g} s{told}"
    stacks = _within(_WRITING_SECONDS, what, folder)
    if stacks is None:
        faulthandler.dump_traceback(file=2, all_threads=True)
    return PeerError(
        f"{what}; stacks of all threads in {'the lines above' if stacks is None else stacks}",
        code=CODE,
        do=do,
    )


def _within(seconds: float, what: str, folder: Path) -> Path | None:
    """Writes the stacks to a new file; None if that fails, or takes longer because the storage is what is stuck."""
    written: list[Path] = []

    def write() -> None:
        with contextlib.suppress(OSError):
            handle, name = tempfile.mkstemp(prefix="hang-", suffix=".log", dir=folder)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(f"{what}\n\n{' '.join(sys.argv)}\n\n")
                file.flush()
                faulthandler.dump_traceback(file=file, all_threads=True)
            written.append(Path(name))

    thread = threading.Thread(target=write, name="stacks", daemon=True)
    thread.start()
    thread.join(seconds)
    return written[0] if written else None
