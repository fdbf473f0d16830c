"""A stage of a windowed transformer: patch merging, then blocks, every second of which shifts its windows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int32, PRNGKeyArray, PyTree

from gauss_vit.models.block_scan import run_first
from gauss_vit.models.blocks import Block, BlockConfig
from gauss_vit.models.compute import Compute
from gauss_vit.models.features import AttentionInputs
from gauss_vit.models.layers import LayerNorm, Linear, layers_per_turn, rematerialise, scan_layers, stack_placed
from gauss_vit.models.observed import attention_inputs
from gauss_vit.models.stage import Stage
from gauss_vit.ops.grid import Grid
from gauss_vit.ops.windows import WindowLayout, halved, neighbours


@dataclass(frozen=True, kw_only=True)
class WindowStageConfig:
    """Config of a stage with attention in windows.

    Attributes:
      stage: Shape of its blocks.
      block: Config of its blocks; the grid of their attention is the window.
      merges: Whether 2 x 2 patches of half the width are merged into one before the blocks.
      merging_norm: Place of normalisation where patches are merged: "before" the linear map or "after" it.
      norms_entry: Whether what enters is normalised before patches are merged.
    """

    stage: Stage
    block: BlockConfig
    merges: bool
    merging_norm: Literal["before", "after"] = "before"
    norms_entry: bool = False

    @property
    def compute(self) -> Compute:
        """Settings of the computation: dtype, kernels and loops."""
        return self.block.attention.compute


class PatchMerging(nnx.Module):
    """Merges 2 x 2 patches into one of twice the width: `norm` and `reduction`, in the order of the blocks."""

    def __init__(self, config: WindowStageConfig, *, key: PRNGKeyArray):
        width = config.block.attention.width
        channels = 2 * width if config.merging_norm == "before" else width
        self.norm = LayerNorm(channels, epsilon=config.block.norm_epsilon)
        self.reduction = Linear(2 * width, width, start=config.block.attention.start, key=key, use_bias=False)
        self.norm_place = config.merging_norm

    def __call__(
        self, tokens: Float[Array, "batch tokens half_channels"], *, grid: Grid
    ) -> Float[Array, "batch merged channels"]:
        """Merges the tokens of a grid; an odd side is padded with zeros."""
        joined = neighbours(tokens.reshape(tokens.shape[0], *grid, tokens.shape[2]))
        if self.norm_place == "before":
            return self.reduction(self.norm(joined))
        return self.norm(self.reduction(joined))


class WindowStage(nnx.Module):
    """Patch merging and blocks, whose parameters are stacked on a leading axis.

    Parameters: `entry_norm`, if what enters is normalised, `merging`, if the stage merges patches, and `blocks`.
    """

    def __init__(self, config: WindowStageConfig, *, key: PRNGKeyArray):
        merging_key, blocks_key = jax.random.split(key)
        entering_width = config.block.attention.width // (2 if config.merges else 1)
        has_norm = config.norms_entry
        self.entry_norm = LayerNorm(entering_width, epsilon=config.block.norm_epsilon) if has_norm else None
        self.merging = PatchMerging(config, key=merging_key) if config.merges else None
        self.blocks = stack_placed(
            lambda block_key, place: Block(config.block, key=block_key, place=place),
            jax.random.split(blocks_key, config.stage.depth),
            config.stage.places,
        )
        self.config = config

    def enter(
        self, tokens: Float[Array, "batch tokens channels"], grid: Grid
    ) -> tuple[Float[Array, "batch merged merged_channels"], Grid]:
        """Normalises and merges patches, if the stage does so; returns the tokens for the blocks and their grid."""
        if self.entry_norm is not None:
            tokens = self.entry_norm(tokens)
        return (tokens, grid) if self.merging is None else (self.merging(tokens, grid=grid), halved(grid))

    def scan_blocks(
        self,
        tokens: Float[Array, "batch tokens channels"],
        *,
        grid: Grid,
        rates: Float[Array, " depth"],
        key: PRNGKeyArray | None = None,
        collect: bool = False,
    ) -> tuple[Float[Array, "batch tokens channels"], Float[Array, "entered batch tokens channels"]]:
        """Runs all blocks; with `collect` also returns the residual stream that enters each, otherwise [0, ...].

        Args:
          tokens: Residual stream that enters the first block.
          grid: The (height, width) of the tokens.
          rates: Stochastic-depth rate of each block.
          key: Random key; None means inference.
          collect: Whether to return the streams.
        """
        config, depth = self.config, self.config.stage.depth
        layouts = config.stage.layouts(grid)
        num_groups = depth // len(layouts)
        turn = layers_per_turn(config.compute, num_groups, blocks_per_layer=len(layouts))
        steps = [self._step(layout, is_looped=turn != num_groups) for layout in layouts]
        keys = None if key is None else jax.random.split(key, depth)
        layers = (nnx.split(self.blocks)[1], rates, keys)
        whole = num_groups * len(steps)

        def body(stream: Array, group: PyTree) -> tuple[Array, Array]:
            entering = []
            for index, step in enumerate(steps):
                entering.append(stream)
                stream = step(stream, _layer(group, index))
            return stream, jnp.stack(entering) if collect else stream[None][:0]

        grouped = jax.tree.map(lambda leaf: leaf[:whole].reshape(num_groups, len(steps), *leaf.shape[1:]), layers)
        stream, streams = scan_layers(body, tokens, grouped, unroll=turn)
        streams = streams.reshape(-1, *tokens.shape)
        if whole == depth:
            return stream, streams
        # With an odd depth, the last block does not shift its windows.
        last = self._step(layouts[0], is_looped=False)(stream, _layer(layers, whole))
        return last, jnp.concatenate([streams, stream[None]]) if collect else streams

    def _step(self, layout: WindowLayout, *, is_looped: bool) -> Callable[[Array, PyTree], Array]:
        """Returns a block with a layout as a function of the stream and of (parameters, rate, key)."""
        graph, _ = nnx.split(self.blocks)

        def step(stream: Array, layer: PyTree) -> Array:
            params, rate, key = layer
            return nnx.merge(graph, params)(stream, drop_rate=rate, layout=layout, key=key)

        return rematerialise(step, self.config.compute.remat, is_looped=is_looped)

    def attention_inputs(
        self, entering: Float[Array, "depth batch tokens channels"], *, grid: Grid
    ) -> tuple[AttentionInputs, ...]:
        """Computes the inputs of the attention of every block; blocks with the same layout are stacked.

        Args:
          entering: Stream that enters each block.
          grid: The (height, width) of its tokens.
        """
        stage = self.config.stage
        return attention_inputs(self.blocks, entering, layouts=stage.layouts(grid), first=stage.first)

    def run_first(
        self, tokens: Float[Array, "batch tokens channels"], num_blocks: Int32[Array, ""], *, grid: Grid
    ) -> Float[Array, "batch tokens channels"]:
        """Runs the first `num_blocks` blocks of the stage, see `block_scan.run_first`."""
        return run_first(
            self.blocks,
            tokens,
            num_blocks,
            layouts=self.config.stage.layouts(grid),
            shared=None,
            compute=self.config.compute,
        )


def _layer(layers: PyTree, index: int) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[index], layers)
