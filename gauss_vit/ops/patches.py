"""Images as sequences of patches, row by row."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from gauss_vit.ops.grid import Grid, covering_grid, grid_of


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


def pad_to_patches(
    images: Float[Array, "batch height width channels"], patch_size: Grid
) -> Float[Array, "batch padded_height padded_width channels"]:
    """Pads images with zeros, at the bottom and on the right, to whole patches.

    Source: MMSegmentation's `PatchEmbed` with padding "corner".
    """
    size = (images.shape[1], images.shape[2])
    cells = covering_grid(size, patch_size)
    below, right = (cell * patch - side for cell, patch, side in zip(cells, patch_size, size, strict=True))
    return jnp.pad(images, ((0, 0), (0, below), (0, right), (0, 0)))
