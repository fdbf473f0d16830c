"""Images as sequences of patches, row by row."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from gauss_vit.ops.grid import Grid, grid_of


def patchify(
    images: Float[Array, "batch height width channels"], patch_size: Grid
) -> Float[Array, "batch patches values"]:
    """Flattens every patch to one vector, ordered (row, column, channel) inside the patch.

    Raises:
      ConfigError: a side of the image is not divisible by the patch.

    >>> patchify(jnp.arange(8.0).reshape(1, 2, 4, 1), (2, 2))[0].tolist()
    [[0.0, 1.0, 4.0, 5.0], [2.0, 3.0, 6.0, 7.0]]
    """
    batch, height, width, channels = images.shape
    rows, columns = grid_of((height, width), patch_size)
    split = images.reshape(batch, rows, patch_size[0], columns, patch_size[1], channels)
    values = patch_size[0] * patch_size[1] * channels
    return jnp.transpose(split, (0, 1, 3, 2, 4, 5)).reshape(batch, rows * columns, values)
