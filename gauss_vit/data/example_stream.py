"""The order of training examples: a stream of epochs, each a permutation of the source by the seed."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt64

from gauss_vit.data import randomness
from gauss_vit.errors import ConfigError

ORDER_STREAM, AUGMENT_STREAM, BUCKET_STREAM = 0, 1, 2
"""Words that keep random numbers for different purposes apart."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """The slots of every batch that one process fills: one of equal, contiguous parts in the order of the processes.

    Attributes:
      batch_size: examples in a batch over all processes.
      process_index: index of the part.
      process_count: number of parts.
    """

    batch_size: int
    process_index: int = 0
    process_count: int = 1

    def __post_init__(self):
        """Checks that the parts are equal.

        Raises:
          ConfigError: the batch is empty or does not divide.
        """
        if self.batch_size < 1 or self.batch_size % self.process_count:
            nearest = max(1, round(self.batch_size / self.process_count)) * self.process_count
            message = f"batch size {self.batch_size} does not divide among {self.process_count} processes"
            raise ConfigError(message, do=f"choose a multiple such as {nearest}")
        if not 0 <= self.process_index < self.process_count:
            raise ConfigError(f"process_index {self.process_index} is not in 0..{self.process_count - 1}")

    @property
    def size(self) -> int:
        """Number of slots that this process fills."""
        return self.batch_size // self.process_count

    def positions(self, step: int) -> range:
        """Computes the positions in the stream of this process's slots of a step."""
        first = step * self.batch_size + self.process_index * self.size
        return range(first, first + self.size)


@dataclass(frozen=True, kw_only=True)
class TrainSlots:
    """What the slots of a training batch hold, or those of one process.

    Attributes:
      image_size: (height, width) in pixels of the batch.
      epochs: epoch of each slot.
      indices: example of each slot.
    """

    image_size: tuple[int, int]
    epochs: UInt64[np.ndarray, " slots"]
    indices: UInt64[np.ndarray, " slots"]


@runtime_checkable
class Order(Protocol):
    """Which examples every training batch holds."""

    def slots(self, step: int, share: Share) -> TrainSlots:
        """Returns what a process's slots of a step hold. Called from several threads at once."""
        ...


@dataclass(frozen=True, kw_only=True)
class StreamOrder:
    """Batches of one size in the order of the stream.

    Attributes:
      num_examples: number of examples of an epoch.
      seed: seed of the order.
      image_size: (height, width) in pixels of all batches.
    """

    num_examples: int
    seed: int
    image_size: tuple[int, int]

    def slots(self, step: int, share: Share) -> TrainSlots:
        """Returns what a process's slots of a step hold."""
        epochs, indices = epochs_and_indices(share.positions(step), num_examples=self.num_examples, seed=self.seed)
        return TrainSlots(image_size=self.image_size, epochs=epochs, indices=indices)


def epochs_and_indices(
    positions: range, *, num_examples: int, seed: int
) -> tuple[UInt64[np.ndarray, " count"], UInt64[np.ndarray, " count"]]:
    """Computes the epoch and the example at each position of the stream."""
    stream = np.arange(positions.start, positions.stop, dtype=np.uint64)
    epochs, places = np.divmod(stream, num_examples)
    keys = randomness.fold_all(randomness.fold(seed, ORDER_STREAM), epochs)
    return epochs, randomness.permute_all(places, size=num_examples, keys=keys)


def augmentation_keys(
    epochs: UInt64[np.ndarray, " count"], indices: UInt64[np.ndarray, " count"], *, seed: int
) -> list[int]:
    """Computes the key of each example's transforms, which depends on the seed, the epoch and the example alone."""
    return randomness.fold_all(randomness.fold(seed, AUGMENT_STREAM), epochs, indices).tolist()
