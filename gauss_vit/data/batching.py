"""Batches filled slot by slot, by a pool of threads and ahead of time.

A batch is allocated as padding and threads write examples straight into it. So nothing is left to do when it is
complete, and pixels are copied by many threads, not by the one that hands out batches.
"""

import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import PyTree

from gauss_vit.batches import Batch

BUFFERED_BATCHES = 2
"""Batches that are filled while another one is waited for or used."""

LARGEST_GROUP = 8
"""Most slots that a thread fills at a time: handing it work takes longer than all that is drawn for an image."""

GROUPS_PER_THREAD = 4
"""Fewest groups of a batch for each thread, so that threads rarely wait for the last group."""


@dataclass(frozen=True, kw_only=True)
class UnfilledBatch:
    """A batch whose slots are still padding.

    Attributes:
      batch: NumPy arrays, written in place.
      fill: puts the example of a slot into the batch, or leaves the slot padding. Called from several threads at once.
    """

    batch: Batch
    fill: Callable[[int], None]


Allocate = Callable[[int], UnfilledBatch]


def padding(num_slots: int, image_size: tuple[int, int], *, targets: PyTree, may_flip: bool = False) -> Batch:
    """Allocates a batch that is all padding.

    Args:
      num_slots: number of examples that it has room for.
      image_size: (height, width) in pixels.
      targets: those of a slot that no example fills.
      may_flip: whether the batch names images that the device is to flip.
    """
    return Batch(
        image=np.zeros((num_slots, *image_size, 3), np.uint8),
        is_real=np.zeros(num_slots, np.bool_),
        targets=jax.tree.map(functools.partial(_repeated, num_slots), targets),
        is_flipped=np.zeros(num_slots, np.bool_) if may_flip else None,
    )


def _repeated(num_slots: int, leaf: np.generic | np.ndarray) -> np.ndarray:
    """An array of equal values for every slot; zeros, which most are, cost nothing until they are written."""
    column = np.zeros((num_slots, *leaf.shape), leaf.dtype)
    if leaf.any():
        column[...] = leaf
    return column


def fill_batches(allocate: Allocate, *, steps: range, num_slots: int, num_threads: int) -> Iterator[Batch]:
    """Fills the batches of the steps and yields them in order; an error in a slot comes in place of its batch.

    Threads work on a few slots, not on whole batches: the first batch comes sooner and less is held in memory. When the
    iterator is closed, or interrupted, no slot is begun any more.

    Args:
      allocate: step to the batch that is to be filled; called once a step, from any thread.
      steps: in this order.
      num_slots: number of slots of a batch.
      num_threads: 0 fills in the caller.
    """
    if num_threads == 0:
        yield from (_fill(allocate(step), range(num_slots)) for step in steps)
        return
    groups = slot_groups(num_slots, num_threads=num_threads)
    num_ahead = max(BUFFERED_BATCHES, -(-num_threads // len(groups)))
    upcoming = iter(steps)
    pool = ThreadPoolExecutor(num_threads, thread_name_prefix="input")
    try:
        queue = deque(_submit(pool, allocate, step, groups) for step in itertools.islice(upcoming, num_ahead))
        while queue:
            parts = queue.popleft()
            queue.extend(_submit(pool, allocate, step, groups) for step in itertools.islice(upcoming, 1))
            yield [part.result() for part in parts][-1]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def slot_groups(num_slots: int, *, num_threads: int) -> tuple[range, ...]:
    """Cuts the slots of a batch, in order, into what a thread fills at a time.

    >>> slot_groups(5, num_threads=2)
    (range(0, 1), range(1, 2), range(2, 3), range(3, 4), range(4, 5))
    >>> slot_groups(20, num_threads=1)
    (range(0, 5), range(5, 10), range(10, 15), range(15, 20))
    """
    size = max(1, min(LARGEST_GROUP, num_slots // (GROUPS_PER_THREAD * num_threads)))
    return tuple(range(start, min(start + size, num_slots)) for start in range(0, num_slots, size))


def _submit(
    pool: ThreadPoolExecutor, allocate: Allocate, step: int, groups: Iterable[range]
) -> tuple[Future[Batch], ...]:
    """Queues one batch: first its allocation, then the filling of its groups, which wait for it."""
    allocated = pool.submit(allocate, step)
    return tuple(pool.submit(lambda group=group: _fill(allocated.result(), group)) for group in groups)


def _fill(unfilled: UnfilledBatch, slots: range) -> Batch:
    """Fills some slots in order."""
    for slot in slots:
        unfilled.fill(slot)
    return unfilled.batch
