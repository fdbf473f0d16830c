"""A batch worked off in portions by one program, so that memory which a portion needed serves the next.

A CPU's allocator gives what a program used back to the system, and clears it when the next program asks: for many
images at once that takes longer than it saves. A GPU wants all images at once, and keeps its memory.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

MOST_AT_ONCE = 4
"""Images of a portion on a device, a CPU's core: more are hardly faster, and fresh memory for them costs more."""

FEWEST_AT_ONCE = 3
"""What is worth a portion, where images are to spare."""


class Portions(NamedTuple):
    """How a batch falls apart.

    Attributes:
      num: of portions, of equal size.
      num_devices: over which the batch is spread, in order; each takes its part of every portion.
    """

    num: int
    num_devices: int

    def split(self, batch: PyTree) -> PyTree:
        """Brings a leading axis [batch] of every leaf to [portions, images]."""

        def of_leaf(leaf: Array) -> Array:
            parts = leaf.reshape(self.num_devices, self.num, -1, *leaf.shape[1:])
            return jnp.moveaxis(parts, 1, 0).reshape(self.num, -1, *leaf.shape[1:])

        return jax.tree.map(of_leaf, batch)

    def join(self, portions: PyTree) -> PyTree:
        """Undoes `split`."""

        def of_leaf(leaf: Array) -> Array:
            parts = leaf.reshape(self.num, self.num_devices, -1, *leaf.shape[2:])
            return jnp.moveaxis(parts, 0, 1).reshape(-1, *leaf.shape[2:])

        return jax.tree.map(of_leaf, portions)


WHOLE = Portions(num=1, num_devices=1)


def portions_of(images: PyTree) -> Portions:
    """Says in how many portions images, [batch, ...], are best worked off where they lie."""
    devices = images.devices() if isinstance(images, jax.Array) else {jax.devices()[0]}
    num_images, is_uneven = divmod(len(images), len(devices))
    if is_uneven or any(device.platform != "cpu" for device in devices):
        return WHOLE
    at_once = _largest_portion(num_images)
    return WHOLE if at_once == 1 else Portions(num=num_images // at_once, num_devices=len(devices))


def even_batch_size(num_images: int, *, at_most: int, num_devices: int) -> int:
    """Finds a batch size that leaves little of the last batch empty, and falls apart into portions if it can.

    Args:
      num_images: in all batches.
      at_most: images in a batch, before they are rounded up to a multiple of the devices.
      num_devices: over which a batch is spread.

    >>> even_batch_size(100, at_most=64, num_devices=2)
    54
    """
    num_batches = -(-num_images // at_most)
    largest = -(-min(at_most, num_images) // num_devices)
    smallest = -(-num_images // (num_batches * num_devices))
    fitting = (size for size in range(smallest, largest + 1) if _largest_portion(size) >= min(FEWEST_AT_ONCE, size))
    return next(fitting, smallest) * num_devices


def _largest_portion(num_images: int) -> int:
    return max(size for size in range(1, MOST_AT_ONCE + 1) if num_images % size == 0)
