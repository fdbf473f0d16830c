"""A batch processed in micro-batches by one program, so that each reuses the memory of the one before.

A CPU's allocator returns a program's memory to the system, and clears it for the next program: for many images at once
that takes longer than it saves. A GPU is faster with all images at once, and keeps its memory.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

MOST_AT_ONCE = 4
"""Images of a micro-batch on one device, a CPU core: more are hardly faster, and fresh memory for them costs more."""


class MicroBatches(NamedTuple):
    """How a batch is split.

    Attributes:
      count: number of micro-batches of equal size; each device's images are padded with zeros if they do not divide.
      num_devices: number of devices that the batch is sharded over, in order; each has its part of every micro-batch.
    """

    count: int
    num_devices: int

    def split(self, batch: PyTree) -> PyTree:
        """Reshapes the leading axis [batch] of every leaf to [micro-batches, images]; padding is zero, or False."""

        def of_leaf(leaf: Array) -> Array:
            parts = leaf.reshape(self.num_devices, len(leaf) // self.num_devices, *leaf.shape[1:])
            missing = -parts.shape[1] % self.count
            parts = jnp.pad(parts, [(0, 0), (0, missing)] + [(0, 0)] * (leaf.ndim - 1))
            size = parts.shape[1] // self.count
            parts = parts.reshape(self.num_devices, self.count, size, *leaf.shape[1:])
            return jnp.moveaxis(parts, 1, 0).reshape(self.count, self.num_devices * size, *leaf.shape[1:])

        return jax.tree.map(of_leaf, batch)

    def join(self, microbatches: PyTree, *, num_images: int) -> PyTree:
        """Undoes `split` for a batch of `num_images`."""

        def of_leaf(leaf: Array) -> Array:
            parts = leaf.reshape(self.count, self.num_devices, -1, *leaf.shape[2:])
            parts = jnp.moveaxis(parts, 0, 1).reshape(self.num_devices, -1, *leaf.shape[2:])
            return parts[:, : num_images // self.num_devices].reshape(num_images, *leaf.shape[2:])

        return jax.tree.map(of_leaf, microbatches)

    def by_device(self, microbatch: Array) -> Array:
        """Reshapes the leading axis [images] of a micro-batch to [devices, images]."""
        return microbatch.reshape(self.num_devices, -1, *microbatch.shape[1:])


WHOLE = MicroBatches(count=1, num_devices=1)


def microbatches_of(images: PyTree) -> MicroBatches:
    """Chooses the micro-batches of images, [batch, ...], for the devices that hold them."""
    devices = images.devices() if isinstance(images, jax.Array) else {jax.local_devices()[0]}
    num_images, is_uneven = divmod(len(images), len(devices))
    if is_uneven or num_images <= MOST_AT_ONCE or any(device.platform != "cpu" for device in devices):
        return WHOLE
    return MicroBatches(count=-(-num_images // MOST_AT_ONCE), num_devices=len(devices))


def even_batch_size(num_images: int, *, at_most: int, num_devices: int) -> int:
    """Computes the batch size with the least padding in the last batch.

    Args:
      num_images: number of images in all batches.
      at_most: largest batch size, before it is rounded up to a multiple of the devices.
      num_devices: number of devices that a batch is sharded over.

    >>> even_batch_size(100, at_most=64, num_devices=2)
    50
    """
    num_batches = -(-num_images // at_most)
    return -(-num_images // (num_batches * num_devices)) * num_devices
