"""Trains the toy in a process of its own: `python -m tests.train.train_toy WORKDIR NUM_STEPS SECONDS_A_STEP`."""

import dataclasses
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from gauss_vit.batches import Batch
from gauss_vit.train.loop import fit
from tests.train.toy import TRAINING, batch_of, run_in


def main(workdir: str, num_steps: str, seconds: str) -> None:
    """Trains, slowed down so that a signal meets it at work."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    run = run_in(Path(workdir), dataclasses.replace(TRAINING, num_steps=int(num_steps)))

    def train(start: int) -> Iterator[Batch]:
        for step in range(start, int(num_steps)):
            time.sleep(float(seconds))
            yield batch_of(step, run.recipe.training.batch_size)

    fit(dataclasses.replace(run, feed=dataclasses.replace(run.feed, train=train)))


if __name__ == "__main__":
    main(*sys.argv[1:])
