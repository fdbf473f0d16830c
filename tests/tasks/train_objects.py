"""Trains a Mask R-CNN on discs, in batches of two sizes, in a process of its own.

Arguments: the workdir, the number of steps, seconds a step.
"""

import dataclasses
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from gauss_vit.batches import Batch
from gauss_vit.train.loop import fit
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.program import make_program
from gauss_vit.train.run import Feed, Run
from tests.heads.detectors import SIZE
from tests.tasks.test_detection_steps import RECIPE, batch_of

SIZES = (SIZE, (64, 64))


def main(workdir: str, num_steps: str, seconds: str) -> None:
    """Trains, slowed down so that a signal meets it at work."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    training = dataclasses.replace(RECIPE.training, num_steps=int(num_steps), checkpoint_every=3)
    recipe = dataclasses.replace(RECIPE, training=training, mesh=MeshConfig(data=2))

    def train(start: int) -> Iterator[Batch]:
        for step in range(start, training.num_steps):
            time.sleep(float(seconds))
            yield batch_of(step, SIZES[step % len(SIZES)])

    feed = Feed(train=train, evaluation=lambda name: (), digest=lambda step: f"digest-{step}")
    fit(Run(workdir=Path(workdir), recipe=recipe, program=make_program(recipe), feed=feed))


if __name__ == "__main__":
    main(*sys.argv[1:])
