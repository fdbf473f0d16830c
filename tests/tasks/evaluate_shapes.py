"""A process that evaluates drawn shapes with others, for a test. Argument: the choice of `--distributed`."""

import json
import sys

import jax
import numpy as np

from gauss_vit.distributed import start
from gauss_vit.metrics.metric import Sums
from gauss_vit.train import evaluation, mesh
from gauss_vit.train.program import fresh_state
from tests.tasks.shapes import TRAINING, ShapesRecipe, eval_batches, program


def confusion() -> list[list[int]]:
    """Counts with the parameters of the seed; each process reads its rows of every batch."""
    made, recipe, sums = program(), ShapesRecipe(), Sums()
    share = mesh.share_of_process(made.mesh)
    rows = TRAINING.eval_batch_size // share.count
    evaluation.evaluate(
        made.eval_steps[recipe.evaluators[0].measure],
        fresh_state(recipe, made).params,
        (
            jax.tree.map(
                lambda leaf: leaf[share.index * rows :][:rows], evaluation.pad(batch, TRAINING.eval_batch_size)
            )
            for batch in eval_batches(TRAINING.eval_batch_size)
        ),
        collector=sums,
        mesh=made.mesh,
        batch_size=TRAINING.eval_batch_size,
        should_stop=lambda: False,
    )
    return np.asarray(sums.metric.confusion.counts).tolist()


if __name__ == "__main__":
    start.start(sys.argv[1], platform="cpu")
    sys.stdout.write(json.dumps({"devices": jax.device_count(), "counts": confusion()}) + "\n")
    sys.stdout.flush()
    start.leave(0)
