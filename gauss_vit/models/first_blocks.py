"""Models up to a block whose number is an argument: one compiled program serves every block on a grid.

Blocks behind the one that is asked for are skipped by `jax.lax.cond`, forward and backward, so that an early block
costs little. Blocks on different grids have programs of their own: in a Swin transformer there is one a stage.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int, Int32

from gauss_vit.models.blocks import Block
from gauss_vit.models.compute import Compute
from gauss_vit.models.layers import layers_per_turn, scan_layers
from gauss_vit.models.swin import Swin
from gauss_vit.models.vit import ViT
from gauss_vit.ops.windows import WindowLayout


def vit_block_map(
    model: ViT, images: Float[Array, "batch height width 3"], num_blocks: Int32[Array, ""]
) -> Float[Array, "batch rows columns channels"]:
    """Computes the patches as they leave one of the first blocks, without dropout.

    Args:
      model: a vision transformer.
      images: normalised.
      num_blocks: how many blocks run, from 1 to the depth.
    """
    tokens = _first_of_vit(model, images, num_blocks)[:, model.config.prefix_tokens :]
    return tokens.reshape(images.shape[0], *model.config.grid, model.config.width)


def vit_before_block(
    model: ViT, images: Float[Array, "batch height width 3"], num_blocks: Int32[Array, ""]
) -> Float[Array, "batch tokens channels"]:
    """Computes the stream that enters the last of the first blocks, for `vit_block_token`."""
    return _first_of_vit(model, images, num_blocks - 1)


def vit_block_token(
    model: ViT,
    tokens: Float[Array, "batch tokens channels"],
    position: Int[Array, "2"],
    *,
    num_blocks: Int32[Array, ""],
) -> Float[Array, "batch channels"]:
    """Computes one patch of `vit_block_map` from `vit_before_block`; that block is computed for the patch alone."""
    config = model.config
    index = config.prefix_tokens + position[0] * config.grid[1] + position[1]
    return _block_at(model.blocks, num_blocks - 1).at_token(tokens, index, shared=model.shared_table())[:, 0]


def swin_block_map(
    model: Swin, images: Float[Array, "batch height width 3"], num_blocks: Int32[Array, ""], *, stage: int
) -> Float[Array, "batch rows columns channels"]:
    """Computes the patches as they leave one of the first blocks of a stage, without dropout.

    Args:
      model: a Swin transformer.
      images: normalised.
      num_blocks: how many blocks of the stage run, from 1 to its depth; those of earlier stages all do.
      stage: from 0.
    """
    stream, grid = model.embed(images), model.config.grid_of_stage(0)
    for index in range(stage + 1):
        holder = model.stages[str(index)]
        stream, grid = holder.enter(stream, grid)
        stream = _run_first(
            holder.blocks,
            stream,
            num_blocks if index == stage else jnp.int32(holder.config.depth),
            layouts=holder.config.layouts(grid),
            shared=None,
            compute=holder.config.compute,
        )
    return stream.reshape(images.shape[0], *grid, stream.shape[-1])


def _first_of_vit(
    model: ViT, images: Float[Array, "batch height width 3"], num_blocks: Int32[Array, ""]
) -> Float[Array, "batch tokens channels"]:
    return _run_first(
        model.blocks,
        model.embed(images),
        num_blocks,
        layouts=(None,),
        shared=model.shared_table(),
        compute=model.config.compute,
    )


def _run_first(
    blocks: Block,
    tokens: Float[Array, "batch tokens channels"],
    num_blocks: Int32[Array, ""],
    *,
    layouts: tuple[WindowLayout | None, ...],
    shared: Float[Array, "#heads dy dx"] | None,
    compute: Compute,
) -> Float[Array, "batch tokens channels"]:
    """Runs the first of stacked blocks, which take the layouts in turn."""
    depth = len(jax.tree.leaves(nnx.split(blocks)[1])[0])

    def run(stream: Array, index: Array, layout: WindowLayout | None) -> Array:
        return _block_at(blocks, index)(stream, drop_rate=jnp.float32(0), shared=shared, layout=layout)

    def body(stream: Array, first: Array | np.int32) -> tuple[Array, None]:
        for offset, layout in enumerate(layouts):
            # Where turns outnumber blocks, the index is too large, and the block is skipped.
            index = jnp.asarray(first + np.int32(offset), jnp.int32)
            stream = jax.lax.cond(index < num_blocks, partial(run, index=index, layout=layout), _unchanged, stream)
        return stream, None

    turns = np.arange(0, depth, len(layouts), dtype=np.int32)
    unroll = layers_per_turn(compute, len(turns), blocks_per_layer=len(layouts))
    return scan_layers(body, tokens, turns, unroll=unroll, remat=compute.remat)[0]


def _block_at(blocks: Block, index: Int32[Array, ""]) -> Block:
    """Takes a block from stacked ones. Their parameters are indexed: a slice would copy them."""
    graph, stacked = nnx.split(blocks)
    return nnx.merge(graph, jax.tree.map(lambda leaf: leaf[index], stacked))


def _unchanged(stream: Float[Array, "batch tokens channels"]) -> Float[Array, "batch tokens channels"]:
    return stream
