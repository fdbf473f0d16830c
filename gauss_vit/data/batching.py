"""Batches filled slot by slot, by threads and ahead of time.

A batch is allocated when the first of its slots is due, as padding, and threads write examples straight into it. So
nothing is left to do when it is complete, and pixels are copied by many threads, not by the one that hands out batches.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import grain
import jax
import numpy as np
from jaxtyping import PyTree

from gauss_vit.batches import Batch

BUFFERED_BATCHES = 2
LARGEST_GROUP = 8
"""Slots that a thread fills at a time, at most: handing it work takes longer than all that is drawn for an image."""

GROUPS_PER_THREAD = 4
"""So many groups of a batch at least for every thread: single ones keep few waiting for the last."""


@dataclass(frozen=True, kw_only=True)
class Filling:
    """A batch that is being filled.

    Attributes:
      batch: NumPy arrays; padding where nothing was filled in.
      fill: puts the example of a slot into the batch, or leaves the slot padding. Called from several threads at once.
    """

    batch: Batch
    fill: Callable[[int], None]


def padding(num_slots: int, image_size: tuple[int, int], *, targets: PyTree, may_flip: bool = False) -> Batch:
    """Allocates a batch that is all padding.

    Args:
      num_slots: number of examples that it has room for.
      image_size: (height, width) in pixels.
      targets: those of one example, for their structure, shapes and types.
      may_flip: whether the batch names images that the device is to flip.
    """
    return Batch(
        image=np.zeros((num_slots, *image_size, 3), np.uint8),
        is_real=np.zeros(num_slots, np.bool_),
        targets=jax.tree.map(lambda leaf: np.zeros((num_slots, *leaf.shape), leaf.dtype), targets),
        is_flipped=np.zeros(num_slots, np.bool_) if may_flip else None,
    )


def filled(begin: Callable[[int], Filling], *, steps: range, num_slots: int, num_threads: int) -> Iterator[Batch]:
    """The batches of the steps, in order, filled by threads ahead of time; what goes wrong in a slot ends them.

    Threads work on a few slots, not on whole batches: the first batch comes sooner and less is held in memory.

    Args:
      begin: step to the batch that is to be filled.
      steps: in this order.
      num_slots: how many slots a batch has.
      num_threads: 0 fills in the caller.
    """
    groups = slot_groups(num_slots, num_threads=num_threads)
    under_way = _UnderWay(begin=begin)

    def fill(place: int) -> int:
        turn, group = divmod(place, len(groups))
        filling = under_way.at(steps[turn])
        for slot in groups[group]:
            filling.fill(slot)
        return steps[turn]

    buffered = max(num_threads, BUFFERED_BATCHES * len(groups)) if num_threads else 0
    options = grain.ReadOptions(num_threads=num_threads, prefetch_buffer_size=buffered)
    done = grain.MapDataset.range(len(steps) * len(groups)).map(fill).to_iter_dataset(options)
    # A generator: behind an error the groups that follow would be taken for whole batches.
    yield from done.batch(len(groups), drop_remainder=True, batch_fn=under_way.end)


def slot_groups(num_slots: int, *, num_threads: int) -> tuple[range, ...]:
    """The slots of a batch in order, cut into what a thread fills at a time.

    >>> slot_groups(5, num_threads=0)
    (range(0, 1), range(1, 2), range(2, 3), range(3, 4), range(4, 5))
    >>> slot_groups(20, num_threads=1)
    (range(0, 5), range(5, 10), range(10, 15), range(15, 20))
    """
    size = max(1, min(LARGEST_GROUP, num_slots // (GROUPS_PER_THREAD * max(1, num_threads))))
    return tuple(range(start, min(start + size, num_slots)) for start in range(0, num_slots, size))


@dataclass(frozen=True, kw_only=True)
class _UnderWay:
    """The batches that threads are filling, by their steps.

    Attributes:
      begin: step to the batch that is to be filled.
      fillings: those that are not complete.
      lock: held while one is looked up or begun, so that all threads fill the same one.
    """

    begin: Callable[[int], Filling]
    fillings: dict[int, Filling] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def at(self, step: int) -> Filling:
        """The batch of a step."""
        with self.lock:
            if step not in self.fillings:
                self.fillings[step] = self.begin(step)
            return self.fillings[step]

    def end(self, steps: Sequence[int]) -> Batch:
        """Gives the batch whose groups are all filled.

        Args:
          steps: that of the batch, once for each group.
        """
        (step,) = set(steps)
        return self.fillings.pop(step).batch
