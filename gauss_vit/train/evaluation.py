"""The metric of a whole data set, with exact counts for any number of examples on any mesh."""

from collections.abc import Callable, Iterable

import jax
import numpy as np
from jax.sharding import Mesh
from jax.typing import ArrayLike
from jaxtyping import PyTree, Shaped

from gauss_vit.batches import Batch
from gauss_vit.errors import DataError
from gauss_vit.tasks.task import Metric
from gauss_vit.train.mesh import place_batch
from gauss_vit.train.step import EvalStep


def evaluate(
    eval_step: EvalStep,
    params: PyTree,
    batches: Iterable[Batch],
    *,
    mesh: Mesh,
    batch_size: int,
    should_stop: Callable[[], bool],
) -> Metric | None:
    """Sums the metric over all batches.

    Args:
      eval_step: of `make_eval_step`.
      params: the parameters, on the mesh.
      batches: every example once; a batch may be shorter than `batch_size`, and may hold padding.
      mesh: the devices.
      batch_size: what every batch is padded to; divisible by the number of devices.
      should_stop: asked before each batch.

    Returns:
      The sums in 64 bits on the host, or None if it was stopped.

    Raises:
      DataError: there is no example.
    """
    total: Metric | None = None
    for batch in batches:
        if should_stop():
            return None
        sums = to_host(eval_step(params, place_batch(pad(batch, batch_size), mesh)))
        total = sums if total is None else total.merge(sums)
    if total is None:
        raise DataError("there is no example to evaluate on", code="DATA-EMPTY", do="check data.eval_split")
    return total


def pad(batch: Batch, batch_size: int) -> Batch:
    """Fills a batch up with rows of zeros, whose `is_real` is False."""
    num_missing = batch_size - len(batch.is_real)
    if num_missing == 0:
        return batch
    return jax.tree.map(lambda leaf: np.pad(leaf, [(0, num_missing)] + [(0, 0)] * (leaf.ndim - 1)), batch)


def to_host(metric: Metric) -> Metric:
    """Widens sums to 64 bits on the host, so that neither counts nor losses saturate over a data set."""
    return jax.tree.map(widen, metric)


def widen(sums: ArrayLike) -> Shaped[np.ndarray, "..."]:
    """Converts integers to int64 and floats to float64."""
    values = np.asarray(sums)
    return values.astype(np.int64 if np.issubdtype(values.dtype, np.integer) else np.float64)
