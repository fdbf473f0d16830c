"""Which examples the batches of a run hold when each batch has one of few sizes.

The stream of examples is cut into windows of many batches. Within a window, examples that their drawn transforms make
alike in size come into one batch, and the batches of the window into a drawn order. So every example still appears
once an epoch, a batch depends on the seed and the step alone, and all processes take the same size at every step.
"""

import functools
import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int

from gauss_vit.data import image_sizes, randomness
from gauss_vit.data.buckets import Size, smallest_fits
from gauss_vit.data.example_stream import BUCKET_STREAM, Share, TrainSlots, augmentation_keys, epochs_and_indices
from gauss_vit.data.examples import Source
from gauss_vit.data.images.geometry import drawn_moves
from gauss_vit.data.images.transforms import Transform
from gauss_vit.errors import DataError

LARGEST_WINDOW = 256
"""Most batches whose examples are grouped: few are left over for mixed batches, and few are drawn at a time."""

_UNREADABLE = (1, 1)


class BucketPlan:
    """An order of training in which every batch has one of few sizes; the last two windows are kept.

    Args:
      source: the examples; its images are not decoded.
      transforms: that images are prepared with.
      image_size: (height, width) in pixels that the transforms are given as the model's.
      buckets: from the smallest to the largest area.
      batch_size: examples in a batch over all processes.
      seed: seed of order and augmentation.
      max_pixels: larger images are refused when they are read.
    """

    def __init__(
        self,
        source: Source,
        *,
        transforms: tuple[Transform, ...],
        image_size: Size,
        buckets: tuple[Size, ...],
        batch_size: int,
        seed: int,
        max_pixels: int,
    ):
        self._source, self._buckets = source, buckets
        self._transforms, self._image_size = transforms, image_size
        self._batch_size, self._seed, self._max_pixels = batch_size, seed, max_pixels
        self._window_of, self._lock = functools.lru_cache(maxsize=2)(self._planned), threading.Lock()

    @property
    def window_size(self) -> int:
        """Number of batches of a window: no more than an epoch has."""
        return min(LARGEST_WINDOW, max(1, len(self._source) // self._batch_size))

    def slots(self, step: int, share: Share) -> TrainSlots:
        """Returns what a process's slots of a step hold. Called from several threads at once.

        Raises:
          ConfigError: an image fits no bucket.
        """
        window, place = divmod(step, self.window_size)
        with self._lock:
            planned = self._window_of(window)[place]
        own = slice(share.process_index * share.size, (share.process_index + 1) * share.size)
        return replace(planned, epochs=planned.epochs[own], indices=planned.indices[own])

    def _planned(self, window: int) -> tuple[TrainSlots, ...]:
        """Plans the batches of a window."""
        num_examples = self.window_size * self._batch_size
        positions = range(window * num_examples, (window + 1) * num_examples)
        epochs, indices = epochs_and_indices(positions, num_examples=len(self._source), seed=self._seed)
        keys = augmentation_keys(epochs, indices, seed=self._seed)
        sizes = np.asarray([self._size(*pair) for pair in zip(indices.tolist(), keys, strict=True)], np.int64)
        rows = group(smallest_fits(sizes, self._buckets), buckets=self._buckets, batch_size=self._batch_size)
        largest = sizes[rows].max(axis=1)
        bucket_of = smallest_fits(largest, self._buckets)
        order_keys = np.full(len(rows), randomness.fold(self._seed, BUCKET_STREAM, window), np.uint64)
        order = randomness.permute_all(np.arange(len(rows), dtype=np.uint64), size=len(rows), keys=order_keys)
        return tuple(
            TrainSlots(
                image_size=self._buckets[bucket_of[place]], epochs=epochs[rows[place]], indices=indices[rows[place]]
            )
            for place in order.tolist()
        )

    def _size(self, index: int, key: int) -> Size:
        """Computes the size that an example's transforms give its image; one that cannot be read fails later."""
        try:
            size = image_sizes.image_size(self._source, index, max_pixels=self._max_pixels)
        except DataError:
            return _UNREADABLE
        keys = [randomness.fold(key, place) for place in range(len(self._transforms))]
        for move in drawn_moves(self._transforms, size, size=self._image_size, keys=keys):
            size = move.size_after(size)
        return size


def group(
    bucket_of: Int[np.ndarray, " examples"], *, buckets: Sequence[Size], batch_size: int
) -> Int[np.ndarray, "batches slots"]:
    """Groups examples into batches, as many of one bucket as there are; what is left over is mixed.

    Left-over examples are taken from the widest to the tallest bucket, so that neighbours waste little.

    Args:
      bucket_of: index of the bucket of each example.
      buckets: sizes of the buckets.
      batch_size: divides the number of examples.

    >>> group(np.array([0, 1, 0, 1, 1, 0]), buckets=[(2, 3), (3, 2)], batch_size=2)
    array([[0, 2],
           [1, 3],
           [5, 4]])
    """
    whole, rest = [], []
    for bucket in sorted(range(len(buckets)), key=lambda index: buckets[index][0] / buckets[index][1]):
        members = np.flatnonzero(bucket_of == bucket)
        num_whole = len(members) // batch_size * batch_size
        whole.append(members[:num_whole])
        rest.append(members[num_whole:])
    return np.concatenate([*whole, *rest]).reshape(-1, batch_size)
