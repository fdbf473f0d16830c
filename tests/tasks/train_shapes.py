"""Trains a UPerNet on shapes in a process of its own. Arguments: the workdir, the number of steps, seconds a step."""

import dataclasses
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from gauss_vit.batches import Batch
from gauss_vit.train.loop import fit
from gauss_vit.train.mesh import MeshConfig
from tests.tasks.shapes import RECIPE, UPERNET, run_in


def main(workdir: str, num_steps: str, seconds: str) -> None:
    """Trains, slowed down so that a signal meets it at work."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    recipe = dataclasses.replace(
        RECIPE,
        network=UPERNET,
        task=dataclasses.replace(RECIPE.task, head=UPERNET.head),
        training=dataclasses.replace(RECIPE.training, num_steps=int(num_steps), checkpoint_every=3, accumulate=1),
        optimizer=dataclasses.replace(RECIPE.optimizer, learning_rate=3e-3),
        mesh=MeshConfig(data=2),
    )
    run = run_in(Path(workdir), recipe)

    def train(start: int) -> Iterator[Batch]:
        for batch in run.feed.train(start):
            time.sleep(float(seconds))
            yield batch

    fit(dataclasses.replace(run, feed=dataclasses.replace(run.feed, train=train)))


if __name__ == "__main__":
    main(*sys.argv[1:])
