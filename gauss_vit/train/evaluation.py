"""The evaluation of a whole data set, with exact counts for any number of examples on any mesh."""

from collections.abc import Callable, Iterable

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import PyTree

from gauss_vit.batches import Batch
from gauss_vit.errors import DataError
from gauss_vit.metrics.metric import Collector
from gauss_vit.train.mesh import place_batch, share_of_process
from gauss_vit.train.step import EvalStep


def evaluate(
    eval_step: EvalStep,
    params: PyTree,
    batches: Iterable[Batch],
    *,
    collector: Collector,
    mesh: Mesh,
    batch_size: int,
    should_stop: Callable[[], bool],
) -> bool:
    """Adds the results of all batches to a collector.

    Args:
      eval_step: Function of `make_eval_step`.
      params: Parameters on the mesh.
      batches: Every example once; a batch may be shorter than `batch_size`, and may contain padding.
      collector: Collector of the measure.
      mesh: Devices.
      batch_size: Size of a batch over all processes, to which each is padded; divisible by the number of devices.
      should_stop: Function that is called before each batch; True ends the evaluation.

    Returns:
      True if it was not stopped.

    Raises:
      DataError: there is no example.
    """
    is_empty, num_rows = True, batch_size // share_of_process(mesh).count
    for batch in batches:
        if should_stop():
            return False
        results = eval_step(params, place_batch(pad(batch, num_rows), mesh))
        collector.add(jax.tree.map(np.asarray, results))
        is_empty = False
    if is_empty:
        raise DataError("there is no example to evaluate on", code="DATA-EMPTY", do="check data.eval_split")
    return True


def pad(batch: Batch, batch_size: int) -> Batch:
    """Pads a batch with rows of zeros, whose `is_real` is False."""
    num_missing = batch_size - len(batch.is_real)
    if num_missing == 0:
        return batch
    return jax.tree.map(lambda leaf: np.pad(leaf, [(0, num_missing)] + [(0, 0)] * (leaf.ndim - 1)), batch)
