"""Trains the toy when a line comes on standard input: `python -m tests.train.train_when_told WORKDIR NUM_STEPS`.

It ends with the status that the command line gives, and logs to train.log alone.
"""

import contextlib
import dataclasses
import logging
import os
import sys
from pathlib import Path

from gauss_vit.errors import UserError
from gauss_vit.train.loop import fit
from tests.train.toy import TRAINING, run_in


def main(workdir: str, num_steps: str) -> int:
    """Says "ready", waits, and trains."""
    logging.basicConfig(handlers=[logging.NullHandler()], force=True)
    run = run_in(Path(workdir), dataclasses.replace(TRAINING, num_steps=int(num_steps)))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    try:
        fit(run)
    except UserError as error:
        # The write that is to fail may be this one.
        with contextlib.suppress(OSError):
            sys.stderr.write(f"error[{error.code}]: {error}\n")
        return error.exit_status
    return 0


if __name__ == "__main__":
    # As the command line ends: without waiting for threads that orbax has left.
    status = main(*sys.argv[1:])
    sys.stderr.flush()
    os._exit(status) if status else sys.exit()
