"""Maps at the size of images, bilinearly interpolated and visited a block of rows at a time.

Logits of 150 classes at the size of a photo are hundreds of megabytes an image. A block of rows of them is not, and
what is computed of them (losses, counts, the likeliest class) is small.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree, Shaped

from gauss_vit.ops.grid import Grid

BLOCK_ROWS = 64
"""Rows of a block."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Resampling:
    """A linear, separable change of the size of maps, for each image its own.

    Attributes:
      rows: float32 [batch, target height, height], the weights of the source's rows in each row of the target.
      columns: float32 [batch, target width, width], likewise of columns.
    """

    rows: PyTree
    columns: PyTree

    def then(self, after: "Resampling") -> "Resampling":
        """Composes this change of size with one of its result."""
        return Resampling(rows=_product(after.rows, self.rows), columns=_product(after.columns, self.columns))


def bilinear(source: Grid, size: Int[Array, "batch 2"], *, canvas: Grid) -> Resampling:
    """Computes bilinear interpolation between pixel centres, without antialiasing and with corners not aligned.

    Args:
      source: (height, width) of the maps.
      size: (height, width) of each image, which may be traced.
      canvas: (height, width) of all targets; what is beyond an image's size is finite and of no meaning.

    Source: torch `interpolate(mode="bilinear", align_corners=False)`, in its order of float32 operations.
    """
    return Resampling(
        rows=_weights(source[0], size[:, 0], canvas[0]), columns=_weights(source[1], size[:, 1], canvas[1])
    )


def map_row_blocks(
    function: Callable[[Float[Array, "batch rows width channels"], PyTree], PyTree],
    maps: Float[Array, "batch h w channels"],
    resampling: Resampling,
    companions: PyTree,
) -> PyTree:
    """Applies a function to blocks of rows of resampled maps, one block after the other.

    Differentiated, it computes the blocks again rather than keeping them.

    Args:
      function: function of a block, float32 [batch, rows, target width, channels], and of its rows of the companions.
      maps: the maps before resampling.
      resampling: how they are resampled.
      companions: pytree of arrays [batch, target height, ...], cut into blocks like the maps. Rows that are missing in
        the last block are zeros, here as in the maps.

    Returns:
      The results of the blocks, each leaf [blocks, ...].
    """
    wide = _interpolated("bxw,bhwc->bhxc", resampling.columns, maps.astype(jnp.float32))

    @jax.checkpoint
    def on_block(block: tuple[Float[Array, "batch rows h"], PyTree]) -> PyTree:
        rows, others = block
        return function(_interpolated("byh,bhxc->byxc", rows, wide), others)

    return jax.lax.map(on_block, jax.tree.map(_in_blocks, (resampling.rows, companions)))


def joined_blocks(blocks: Shaped[Array, "blocks batch rows ..."], *, height: int) -> Shaped[Array, "batch height ..."]:
    """Joins the rows of blocks, without those that the last block has too many."""
    rows = jnp.moveaxis(blocks, 0, 1)
    return rows.reshape(rows.shape[0], -1, *rows.shape[3:])[:, :height]


def _interpolated(
    equation: str, weights: Float[Array, "#batch places source"], maps: Float[Array, "batch _ _ channels"]
) -> Float[Array, "batch _ _ channels"]:
    """Multiplies float32 maps by weights, as precisely as float32 needs on each platform.

    On TPUs three passes of bfloat16 take half the time of the six that are the highest precision, and their error of
    2^-16 is far below that of logits. On GPUs the same setting would round logits to the 11 bits of TF32.
    """
    three_passes, highest = (
        functools.partial(jnp.einsum, equation, precision=precision)
        for precision in (jax.lax.Precision.HIGH, jax.lax.Precision.HIGHEST)
    )
    return jax.lax.platform_dependent(weights, maps, tpu=three_passes, default=highest)


def _in_blocks(rows: Shaped[Array, "batch height ..."]) -> Shaped[Array, "blocks batch rows ..."]:
    """Cuts rows into blocks of equal height, at most `BLOCK_ROWS`."""
    batch, height, *rest = rows.shape
    num_blocks = -(-height // BLOCK_ROWS)
    num_rows = -(-height // num_blocks)
    padded = jnp.pad(rows, [(0, 0), (0, num_blocks * num_rows - height)] + [(0, 0)] * len(rest))
    return jnp.moveaxis(padded.reshape(batch, num_blocks, num_rows, *rest), 1, 0)


def _weights(source: int, size: Int[Array, " batch"], num_places: int) -> Float[Array, "batch places source"]:
    """Computes the weights of source pixels in each place along one axis: one pixel's, or those of two neighbours."""
    scale = source / size.astype(jnp.float32)
    place = jnp.arange(num_places, dtype=jnp.float32)
    position = jnp.clip(scale[:, None] * (place[None, :] + 0.5) - 0.5, 0, source - 1)
    distance = jnp.abs(position[:, :, None] - jnp.arange(source, dtype=jnp.float32)[None, None, :])
    return jnp.maximum(1 - distance, 0)


def _product(
    after: Float[Array, "batch target between"], before: Float[Array, "#batch between source"]
) -> Float[Array, "batch target source"]:
    return jnp.matmul(after, before, precision=jax.lax.Precision.HIGHEST)
