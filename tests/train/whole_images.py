"""Counts the pixels of whole images in an evaluation: `python -m tests.train.whole_images DISTRIBUTED`."""

import json
import sys
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from gauss_vit.batches import Batch
from gauss_vit.data import pipeline
from gauss_vit.data.images.resize_to_fit import ResizeToFit
from gauss_vit.distributed import start
from gauss_vit.train import mesh as meshes
from gauss_vit.train.evaluation import evaluate
from tests.data.mask_samples import mask_source

SIZES = ((20, 30), (30, 20), (20, 30), (70, 60), (1, 1), (20, 30), (40, 60))
SOURCE = mask_source(*SIZES, num_values=7)


class Histogram:
    """A collector of the number of pixels of each value."""

    def __init__(self) -> None:
        self.counts = np.zeros(256, np.int64)

    def add(self, results: PyTree) -> None:
        """Adds the counts of a batch."""
        self.counts += np.asarray(results)

    def compute(self) -> Mapping[str, float]:
        """Returns the counts of the values that are in masks."""
        return {str(value): int(count) for value, count in enumerate(self.counts) if count}


def count(params: PyTree, batch: Batch) -> jax.Array:
    """Counts the values of the masks of real rows, in those pixels that their sizes span."""
    del params
    height, width = batch.targets.mask.values.shape[1:]
    rows = jnp.arange(height)[None, :, None] < batch.targets.size[:, 0, None, None]
    columns = jnp.arange(width)[None, None, :] < batch.targets.size[:, 1, None, None]
    is_counted = rows & columns & batch.is_real[:, None, None]
    return jnp.zeros(256, jnp.int32).at[batch.targets.mask.values].add(is_counted.astype(jnp.int32))


def histogram(num_devices: int, *, batch_size: int) -> Mapping[str, float]:
    """Evaluates all images on so many devices."""
    mesh = meshes.make(meshes.MeshConfig(data=num_devices), jax.devices())
    share, found = meshes.share_of_process(mesh), Histogram()
    evaluate(
        jax.jit(count, out_shardings=meshes.replicated(mesh)),
        {},
        pipeline.eval_batches(
            SOURCE,
            transform=ResizeToFit(scale=(32, 8)),
            image_size=(8, 8),
            batch_size=batch_size,
            num_threads=2,
            process_index=share.index,
            process_count=share.count,
        ),
        collector=found,
        mesh=mesh,
        batch_size=batch_size,
        should_stop=lambda: False,
    )
    return found.compute()


if __name__ == "__main__":
    start.start(sys.argv[1], platform="cpu")
    sys.stdout.write(json.dumps(histogram(jax.device_count(), batch_size=8)) + "\n")
    sys.stdout.flush()
    start.leave(0)
