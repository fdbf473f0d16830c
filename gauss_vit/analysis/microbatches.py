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


class Portions(NamedTuple):
    """How a batch falls apart.

    Attributes:
      num_portions: of equal size; the last images of each device are zeros where they do not divide.
      num_devices: over which the batch is spread, in order; each takes its part of every portion.
    """

    num_portions: int
    num_devices: int

    def split(self, batch: PyTree) -> PyTree:
        """Brings a leading axis [batch] of every leaf to [portions, images]; what is added is zero, or False."""

        def of_leaf(leaf: Array) -> Array:
            parts = leaf.reshape(self.num_devices, len(leaf) // self.num_devices, *leaf.shape[1:])
            missing = -parts.shape[1] % self.num_portions
            parts = jnp.pad(parts, [(0, 0), (0, missing)] + [(0, 0)] * (leaf.ndim - 1))
            size = parts.shape[1] // self.num_portions
            parts = parts.reshape(self.num_devices, self.num_portions, size, *leaf.shape[1:])
            return jnp.moveaxis(parts, 1, 0).reshape(self.num_portions, self.num_devices * size, *leaf.shape[1:])

        return jax.tree.map(of_leaf, batch)

    def join(self, portions: PyTree, *, num_images: int) -> PyTree:
        """Undoes `split` of a batch of so many images."""

        def of_leaf(leaf: Array) -> Array:
            parts = leaf.reshape(self.num_portions, self.num_devices, -1, *leaf.shape[2:])
            parts = jnp.moveaxis(parts, 0, 1).reshape(self.num_devices, -1, *leaf.shape[2:])
            return parts[:, : num_images // self.num_devices].reshape(num_images, *leaf.shape[2:])

        return jax.tree.map(of_leaf, portions)

    def by_device(self, portion: Array) -> Array:
        """Brings the leading axis [images] of a portion to [devices, images]."""
        return portion.reshape(self.num_devices, -1, *portion.shape[1:])


WHOLE = Portions(num_portions=1, num_devices=1)


def portions_of(images: PyTree) -> Portions:
    """Says in how many portions images, [batch, ...], are best worked off where they lie."""
    devices = images.devices() if isinstance(images, jax.Array) else {jax.devices()[0]}
    num_images, is_uneven = divmod(len(images), len(devices))
    if is_uneven or num_images <= MOST_AT_ONCE or any(device.platform != "cpu" for device in devices):
        return WHOLE
    return Portions(num_portions=-(-num_images // MOST_AT_ONCE), num_devices=len(devices))


def even_batch_size(num_images: int, *, at_most: int, num_devices: int) -> int:
    """Finds the batch size that leaves the fewest empty places in the last batch.

    Args:
      num_images: in all batches.
      at_most: images in a batch, before they are rounded up to a multiple of the devices.
      num_devices: over which a batch is spread.

    >>> even_batch_size(100, at_most=64, num_devices=2)
    50
    """
    num_batches = -(-num_images // at_most)
    return -(-num_images // (num_batches * num_devices)) * num_devices
