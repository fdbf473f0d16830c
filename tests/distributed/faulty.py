"""The program with a fault in one process: `python -m tests.distributed.faulty FAULT PLACE INDEX STEP ARGUMENTS`.

The process is killed, suspended, stuck or fails before it reads the newest checkpoint (PLACE `restore`), before it
starts a step (`step`), or once it has begun to save a step (`save`).
"""

import os
import signal
import sys
import time
from pathlib import Path

from gauss_vit import main
from gauss_vit.batches import Batch
from gauss_vit.distributed import processes
from gauss_vit.errors import DataError
from gauss_vit.train import loop
from gauss_vit.train.checkpoint.metadata import Progress
from gauss_vit.train.checkpoint.reader import Restored
from gauss_vit.train.checkpoint.writer import CheckpointWriter
from gauss_vit.train.state import TrainState


def happen(fault: str) -> None:
    """Does to this process what is asked for."""
    sys.stderr.write(f"fault at {time.time()}\n")
    sys.stderr.flush()
    if fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault == "suspend":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif fault == "stuck":
        time.sleep(600)
    elif fault == "data":
        raise DataError("bad.jpg: image file is truncated", do="remove it", code="DATA-DECODE")
    elif fault == "bug":
        raise RuntimeError("an exception of this process alone")


def inject(fault: str, place: str, *, index: int, step: int) -> None:
    """Lets a fault happen in one process at one place; `step` does not matter for `restore`."""
    restore, advance, save = loop.restore_state, loop._Loop._advance, CheckpointWriter.save

    def reach(here: str, at: int) -> None:
        if (here, processes.index(), at) == (place, index, step):
            happen(fault)

    def restore_state(workdir: Path, abstract: TrainState) -> Restored | None:
        reach("restore", step)
        return restore(workdir, abstract)

    def start_step(self: loop._Loop, batch: Batch) -> None:
        reach("step", self._step + 1)
        advance(self, batch)

    def start_save(self: CheckpointWriter, state: TrainState, progress: Progress) -> None:
        save(self, state, progress)
        reach("save", progress.step)

    loop.restore_state, loop._Loop._advance, CheckpointWriter.save = restore_state, start_step, start_save


if __name__ == "__main__":
    inject(sys.argv[1], sys.argv[2], index=int(sys.argv[3]), step=int(sys.argv[4]))
    sys.exit(main.main(sys.argv[5:]))
