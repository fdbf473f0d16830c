"""The program with a fault in one of its processes: `python -m tests.distributed.faulty FAULT INDEX STEP ARGUMENTS`.

At a step, before it is started, the process is killed, suspended, stuck or fails.
"""

import os
import signal
import sys
import time

from gauss_vit import main
from gauss_vit.batches import Batch
from gauss_vit.distributed import processes
from gauss_vit.errors import DataError
from gauss_vit.train import loop
from gauss_vit.train.checkpoint.metadata import Progress
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


def inject_in_save(index: int, step: int) -> None:
    """Kills a process once it has begun to save at a step, while the files are written."""
    save = CheckpointWriter.save

    def killed(self: CheckpointWriter, state: TrainState, progress: Progress) -> None:
        save(self, state, progress)
        if (processes.index(), progress.step) == (index, step):
            happen("kill")

    CheckpointWriter.save = killed


def inject(fault: str, index: int, step: int) -> None:
    """Lets it happen in the loop."""
    advance = loop._Loop._advance

    def faulty(self: loop._Loop, batch: Batch) -> None:
        if (processes.index(), self._step + 1) == (index, step):
            happen(fault)
        advance(self, batch)

    loop._Loop._advance = faulty


if __name__ == "__main__":
    if sys.argv[1] == "kill_in_save":
        inject_in_save(int(sys.argv[2]), int(sys.argv[3]))
    else:
        inject(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    sys.exit(main.main(sys.argv[4:]))
