"""Anchors: boxes of a few shapes at every cell of a feature map, constants of its size."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from gauss_vit.errors import ConfigError
from gauss_vit.ops.grid import Grid

_PADDED_TO = 32


@dataclass(frozen=True, kw_only=True)
class Anchors:
    """The anchors of a pyramid of feature maps.

    At every cell there is one anchor for each ratio, centred at the cell's index times the stride, not rounded.

    Attributes:
      strides: distance of neighbouring cells of each map, in pixels, the finest map first.
      ratios: height / width of the anchors.
      scale: square root of an anchor's area, in strides.

    Raises:
      ConfigError: there is no map or ratio, or a number is not positive.

    Source: MMDetection `AnchorGenerator`, centre_offset 0.
    """

    strides: tuple[int, ...] = (4, 8, 16, 32, 64)
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    scale: float = 8.0

    def __post_init__(self):
        numbers = (*self.strides, *self.ratios, self.scale)
        if not self.strides or not self.ratios or min(numbers) <= 0:
            raise ConfigError(f"anchors need positive strides, ratios and scale, got {self}")

    def grids(self, image_size: tuple[int, int]) -> tuple[Grid, ...]:
        """Returns the (height, width) of every map of images of a (height, width) in pixels."""
        height, width = image_size
        return tuple((-(-height // stride), -(-width // stride)) for stride in self.strides)

    def boxes(self, image_size: tuple[int, int]) -> tuple[Float[np.ndarray, "anchors 4"], ...]:
        """Computes the anchors of every map, ordered by row, column and ratio; they may reach beyond the image."""
        return tuple(
            self._of_level(grid, stride) for grid, stride in zip(self.grids(image_size), self.strides, strict=True)
        )

    def is_inside(
        self, image_size: tuple[int, int], sizes: Int[Array, "batch 2"]
    ) -> tuple[Bool[Array, "batch anchors"], ...]:
        """Returns which anchors' cells begin in an image, of the maps of a padded batch.

        Args:
          image_size: (height, width) of the batch, in pixels.
          sizes: (height, width) of each image before it was padded; each counts up to the next multiple of 32.
        """
        padded = -(-sizes // _PADDED_TO) * _PADDED_TO
        return tuple(
            self._is_inside_level(grid, stride, padded)
            for grid, stride in zip(self.grids(image_size), self.strides, strict=True)
        )

    def _of_level(self, grid: Grid, stride: int) -> Float[np.ndarray, "anchors 4"]:
        heights = self.scale * stride * np.sqrt(np.asarray(self.ratios))
        widths = self.scale * stride / np.sqrt(np.asarray(self.ratios))
        shapes = np.stack([-heights, -widths, heights, widths], axis=1) / 2
        rows, columns = np.meshgrid(*(np.arange(side) * stride for side in grid), indexing="ij")
        centres = np.stack([rows, columns, rows, columns], axis=-1).reshape(-1, 1, 4)
        return (centres + shapes).reshape(-1, 4).astype(np.float32)

    def _is_inside_level(self, grid: Grid, stride: int, sizes: Int[Array, "batch 2"]) -> Bool[Array, "batch anchors"]:
        is_row, is_column = (
            jnp.arange(side)[None, :] * stride < sizes[:, axis, None] for axis, side in enumerate(grid)
        )
        is_cell = (is_row[:, :, None] & is_column[:, None, :]).reshape(len(sizes), -1)
        return jnp.repeat(is_cell, len(self.ratios), axis=1)
