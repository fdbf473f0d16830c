"""Loops over stacked blocks: all of them, all but the last, or the first few."""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int32, PRNGKeyArray, PyTree

from gauss_vit.models.blocks import Block, ClassBlock, Layout
from gauss_vit.models.compute import Compute
from gauss_vit.models.layers import layers_per_turn, scan_layers
from gauss_vit.models.stage import Stage, stage_of_block
from gauss_vit.models.tokens import repeated

Streams = tuple[Float[Array, "batch tokens channels"], Float[Array, "depth batch tokens channels"] | None]
"""The stream that leaves the last block of a stage and, if they are collected, the streams that enter each."""


def run_blocks(
    blocks: Block,
    tokens: Float[Array, "batch tokens channels"],
    *,
    rates: Float[np.ndarray, " depth"],
    shared: Float[Array, "#heads dy dx"] | None,
    compute: Compute,
    key: PRNGKeyArray | None = None,
    collect: bool = False,
) -> tuple[Float[Array, "batch tokens channels"], Float[Array, "depth batch tokens channels"] | None]:
    """Runs all blocks; with `collect` also returns the residual stream that enters each of them.

    Args:
      blocks: Blocks whose parameters are stacked.
      tokens: Stream that enters the first block.
      rates: Stochastic-depth rate of each block.
      shared: Offset table that all blocks share.
      compute: Loop over the blocks, and what the backward pass recomputes.
      key: Random key; None means inference.
      collect: Whether to return the streams.
    """
    graph, stacked = nnx.split(blocks)
    keys = None if key is None else jax.random.split(key, len(rates))

    def body(stream: Array, layer: tuple[PyTree, Array, Array | None]) -> tuple[Array, Array | None]:
        params, rate, block_key = layer
        outputs = nnx.merge(graph, params)(stream, drop_rate=rate, shared=shared, key=block_key)
        return outputs, stream if collect else None

    layers = (stacked, jnp.asarray(rates, jnp.float32), keys)
    unroll = layers_per_turn(compute, len(rates))
    return scan_layers(body, tokens, layers, unroll=unroll, remat=compute.remat)


def run_all_but_last(
    blocks: Block,
    tokens: Float[Array, "batch tokens channels"],
    *,
    depth: int,
    shared: Float[Array, "#heads dy dx"] | None,
    compute: Compute,
) -> Float[Array, "batch tokens channels"]:
    """Computes the stream that enters the last of `depth` blocks, without dropout; arguments as in `run_blocks`."""

    def body(stream: Array, index: Array | np.int32) -> tuple[Array, None]:
        return block_at(blocks, index)(stream, drop_rate=jnp.float32(0), shared=shared), None

    indices = np.arange(depth - 1, dtype=np.int32)
    unroll = layers_per_turn(compute, len(indices))
    return scan_layers(body, tokens, indices, unroll=unroll, remat=compute.remat)[0]


def run_first(
    blocks: Block,
    tokens: Float[Array, "batch tokens channels"],
    num_blocks: Int32[Array, ""],
    *,
    layouts: Sequence[Layout | None],
    shared: Float[Array, "#heads dy dx"] | None,
    compute: Compute,
) -> Float[Array, "batch tokens channels"]:
    """Runs the first `num_blocks` of stacked blocks; the number may be traced, so one program serves every block.

    Later blocks are skipped by `jax.lax.cond`, forward and backward, so that an early block costs little. There is no
    dropout.

    Args:
      blocks: Blocks whose parameters are stacked.
      tokens: Stream that enters the first block.
      num_blocks: Number of blocks that run.
      layouts: Layouts that successive blocks use in turn; None for attention among all tokens of an image.
      shared: Offset table that all blocks share.
      compute: Loop over the blocks, and what the backward pass recomputes.
    """
    depth = len(jax.tree.leaves(nnx.split(blocks)[1])[0])

    def run(stream: Array, index: Array, layout: Layout | None) -> Array:
        return block_at(blocks, index)(stream, drop_rate=jnp.float32(0), shared=shared, layout=layout)

    def body(stream: Array, first: Array | np.int32) -> tuple[Array, None]:
        for offset, layout in enumerate(layouts):
            # The last iteration may reach past the last block: its index is too large, and the block is skipped.
            index = jnp.asarray(first + np.int32(offset), jnp.int32)
            stream = jax.lax.cond(index < num_blocks, partial(run, index=index, layout=layout), _unchanged, stream)
        return stream, None

    turns = np.arange(0, depth, len(layouts), dtype=np.int32)
    unroll = layers_per_turn(compute, len(turns), blocks_per_layer=len(layouts))
    return scan_layers(body, tokens, turns, unroll=unroll, remat=compute.remat)[0]


def streams_after(
    layers: Sequence[int], stage: Stage, run: Callable[[bool], Streams]
) -> list[Float[Array, "batch tokens channels"]]:
    """Computes the streams that leave some blocks of a model with one stage.

    Args:
      layers: Numbers of the blocks, from 1 to the depth.
      stage: The only stage.
      run: Runs all blocks; its argument is whether it collects the streams that enter them.

    Raises:
      ConfigError: there is no such block.
    """
    for layer in layers:
        stage_of_block((stage,), layer)
    last, entering = run(any(layer < stage.depth for layer in layers))
    return [last if entering is None or layer == stage.depth else entering[layer] for layer in layers]


def run_class_blocks(
    blocks: ClassBlock,
    class_token: Float[Array, "batch 1 channels"],
    patches: Float[Array, "batch tokens channels"],
    *,
    key: PRNGKeyArray | None,
) -> Float[Array, "batch 1 channels"]:
    """Updates the class token with stacked blocks; the patches do not change."""
    graph, stacked = nnx.split(blocks)
    depth = len(jax.tree.leaves(stacked)[0])
    keys = None if key is None else jax.random.split(key, depth)

    def body(token: Array, layer: tuple[PyTree, Array | None]) -> tuple[Array, None]:
        params, block_key = layer
        return nnx.merge(graph, params)(token, patches, key=block_key), None

    return jax.lax.scan(body, class_token, (stacked, keys))[0]


def with_class_token(
    blocks: ClassBlock | None,
    class_token: nnx.Param | None,
    patches: Float[Array, "batch tokens channels"],
    *,
    key: PRNGKeyArray | None,
) -> Float[Array, "batch tokens_and_class channels"]:
    """Runs the blocks of the class token, if there are any, and puts the token before the patches."""
    if blocks is None or class_token is None:
        return patches
    token = run_class_blocks(blocks, repeated(class_token, patches), patches, key=key)
    return jnp.concatenate([token, patches], axis=1)


def block_at(blocks: Block, index: Int32[Array, ""] | np.int32 | int) -> Block:
    """Returns one of the stacked blocks."""
    graph, stacked = nnx.split(blocks)
    return nnx.merge(graph, jax.tree.map(lambda leaf: leaf[index], stacked))


def _unchanged(stream: Float[Array, "batch tokens channels"]) -> Float[Array, "batch tokens channels"]:
    return stream
