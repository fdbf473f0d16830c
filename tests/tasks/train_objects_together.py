"""A process that trains a Mask R-CNN on discs with others, for a test. Argument: the choice of `--distributed`."""

import dataclasses
import json
import sys

import jax
import numpy as np

from gauss_vit.distributed import start
from gauss_vit.train import mesh as meshes
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.program import fresh_state, make_program
from tests.heads.detectors import NETWORK, params_of
from tests.tasks.test_detection_steps import BATCH_SIZE, NUM_STEPS, RECIPE, batch_of


def losses(num_devices: int) -> list[float]:
    """The losses of a few steps on so many devices of all processes, which place their rows of every batch."""
    recipe = dataclasses.replace(RECIPE, mesh=MeshConfig(data=num_devices))
    built, found = make_program(recipe), []
    state = fresh_state(recipe, built, jax.tree.map(np.asarray, params_of(NETWORK)))
    share = meshes.share_of_process(built.mesh)
    rows = BATCH_SIZE // share.count
    for step in range(NUM_STEPS):
        mine = jax.tree.map(lambda leaf: leaf[share.index * rows :][:rows], batch_of(step))
        state, outcome = built.train_step(state, meshes.place_batch(mine, built.mesh))
        found.append(float(outcome.loss))
    return found


if __name__ == "__main__":
    start.start(sys.argv[1], platform="cpu")
    sys.stdout.write(json.dumps(losses(jax.device_count())) + "\n")
    sys.stdout.flush()
    start.leave(0)
