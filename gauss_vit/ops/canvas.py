"""Images of sizes of their own, each in the top left corner of a canvas that a batch shares."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from gauss_vit.ops.grid import Grid


def is_inside(size: Int[Array, "batch 2"], canvas: Grid) -> Bool[Array, "batch height width"]:
    """Marks the pixels of a canvas that belong to an image.

    Args:
      size: (height, width) of each image, in pixels.
      canvas: (height, width) of the canvas.
    """
    rows, columns = (
        jnp.arange(length, dtype=jnp.int32)[None, :] < size[:, axis, None] for axis, length in enumerate(canvas)
    )
    return rows[:, :, None] & columns[:, None, :]
