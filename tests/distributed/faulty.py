"""The program with a fault in one process: `python -m tests.distributed.faulty FAULT PLACE INDEX STEP ARGUMENTS`.

The process is killed, suspended, stuck, slow or fails before it reads the newest checkpoint (PLACE `restore`), before
it starts a step (`step`), once it has begun to save a step (`save`), before a batch of an evaluation is measured
(`evaluation`), or when it has trained (`end`).
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from gauss_vit import main
from gauss_vit.distributed import processes
from gauss_vit.errors import DataError
from gauss_vit.train import evaluation, loop
from gauss_vit.train.checkpoint.writer import CheckpointWriter

SLOW_SECONDS = 40.0
"""Longer than a process may be silent, and than the limits of the runs that are tested."""


def happen(fault: str) -> None:
    """Does to this process what is asked for."""
    sys.stderr.write(f"fault at {time.time()}\n")
    sys.stderr.flush()
    if fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault == "suspend":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif fault in ("stuck", "slow"):
        time.sleep(SLOW_SECONDS if fault == "slow" else 600.0)
    elif fault == "data":
        raise DataError("bad.jpg: image file is truncated", do="remove it", code="DATA-DECODE")
    elif fault == "memory":
        raise MemoryError("cannot allocate 8 GiB")
    elif fault == "bug":
        raise RuntimeError("an exception of this process alone")


def before(function: Callable[..., Any], act: Callable[..., None]) -> Callable[..., Any]:
    """Returns a function that acts first, on the same arguments."""

    def changed(*arguments: Any, **options: Any) -> Any:
        act(*arguments, **options)
        return function(*arguments, **options)

    return changed


def after(function: Callable[..., Any], act: Callable[..., None]) -> Callable[..., Any]:
    """Returns a function that acts last, on the same arguments."""

    def changed(*arguments: Any, **options: Any) -> Any:
        result = function(*arguments, **options)
        act(*arguments, **options)
        return result

    return changed


def inject(fault: str, place: str, *, index: int, step: int) -> None:
    """Lets a fault happen in one process at one place, whatever the step where the place has none."""

    def reach(here: int = step) -> None:
        if (processes.index(), here) == (index, step):
            happen(fault)

    if place == "restore":
        loop.restore_state = before(loop.restore_state, lambda *_: reach())
    elif place == "step":
        loop._Loop._advance = before(loop._Loop._advance, lambda run, batch: reach(run._step + 1))
    elif place == "save":
        CheckpointWriter.save = after(CheckpointWriter.save, lambda writer, state, progress: reach(progress.step))
    elif place == "evaluation":
        evaluation.pad = before(evaluation.pad, lambda *_: reach())
    elif place == "end":
        loop.fit = after(loop.fit, lambda run: reach())


if __name__ == "__main__":
    inject(sys.argv[1], sys.argv[2], index=int(sys.argv[3]), step=int(sys.argv[4]))
    sys.exit(main.main(sys.argv[5:]))
