"""Saves checkpoints in a process of its own: `python -m tests.train.checkpoint.save_many WORKDIR KEPT NUM`.

Two stay; of those that are removed, KEPT gets a copy before.
"""

import logging
import shutil
import sys
from pathlib import Path

from gauss_vit.train.checkpoint import retention
from gauss_vit.train.checkpoint.reader import CHECKPOINTS, saved_steps
from tests.train.states import progress_at, state_at, writer_in


def main(workdir: str, kept: str, num: str) -> None:
    """Saves the steps 1, 2, ... and copies each of them at last."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
    remove = retention.remove

    def copy_and_remove(folder: Path) -> None:
        shutil.copytree(folder, Path(kept, folder.name))
        remove(folder)

    retention.remove = copy_and_remove
    with writer_in(Path(workdir), num_newest=2) as writer:
        for step in range(1, int(num) + 1):
            writer.save(state_at(step), progress_at(step))
    for step in saved_steps(Path(workdir)):
        shutil.copytree(Path(workdir, CHECKPOINTS, str(step)), Path(kept, str(step)))


if __name__ == "__main__":
    main(*sys.argv[1:])
