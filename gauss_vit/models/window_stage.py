"""A stage of a windowed transformer: patch merging, then blocks whose windows are shifted in every second one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from gauss_vit.models.attention import Attention
from gauss_vit.models.blocks import Block, BlockConfig
from gauss_vit.models.compute import Compute
from gauss_vit.models.features import AttentionInputs, Intermediates
from gauss_vit.models.layers import LayerNorm, Linear, layers_per_turn, rematerialise, scan_layers, stack
from gauss_vit.ops.grid import Grid
from gauss_vit.ops.windows import WindowLayout, halved, neighbours


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """What a stage is made of.

    Attributes:
      block: its blocks; the grid of their attention is the window.
      depth: number of blocks.
      shift: how far the windows of every second block are shifted, in tokens; (0, 0) for none.
      merges: 2 x 2 patches of half the width are merged to one before the blocks.
    """

    block: BlockConfig
    depth: int
    shift: Grid
    merges: bool

    @property
    def compute(self) -> Compute:
        """How the blocks are computed."""
        return self.block.attention.compute

    def layouts(self, grid: Grid) -> tuple[WindowLayout, ...]:
        """Gives the layouts that the blocks take in turn on a grid: one, or one without and one with a shift."""
        window = self.block.attention.grid
        plain = WindowLayout(grid=grid, window=window)
        shifted = WindowLayout(grid=grid, window=window, shift=self.shift)
        return (plain, shifted) if any(self.shift) else (plain,)


class PatchMerging(nnx.Module):
    """Merges 2 x 2 patches to one of twice the width: `norm` and `reduction`, in the order that the blocks have."""

    def __init__(self, config: BlockConfig, *, key: PRNGKeyArray):
        width = config.attention.width
        channels = 2 * width if config.norm == "before" else width
        self.norm = LayerNorm(channels, epsilon=config.norm_epsilon)
        self.reduction = Linear(2 * width, width, start=config.attention.start, key=key, use_bias=False)
        self.norm_place = config.norm

    def __call__(
        self, tokens: Float[Array, "batch tokens half_channels"], *, grid: Grid
    ) -> Float[Array, "batch merged channels"]:
        """Merges the tokens of a grid; zeros complete an odd side."""
        joined = neighbours(tokens.reshape(tokens.shape[0], *grid, tokens.shape[2]))
        if self.norm_place == "before":
            return self.reduction(self.norm(joined))
        return self.norm(self.reduction(joined))


class Stage(nnx.Module):
    """Patch merging and blocks, whose parameters are stacked on a leading axis.

    Parameters: `merging`, where there is any, and `blocks`.
    """

    def __init__(self, config: StageConfig, *, key: PRNGKeyArray):
        merging_key, blocks_key = jax.random.split(key)
        self.merging = PatchMerging(config.block, key=merging_key) if config.merges else None
        self.blocks = stack(
            lambda block_key: Block(config.block, key=block_key), jax.random.split(blocks_key, config.depth)
        )
        self.config = config

    def enter(
        self, tokens: Float[Array, "batch tokens channels"], grid: Grid
    ) -> tuple[Float[Array, "batch merged merged_channels"], Grid]:
        """Merges patches, where the stage does so; gives the tokens of the blocks and their grid."""
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
        """Runs all blocks; with `collect` also returns the residual stream that enters each, otherwise none of them.

        Args:
          tokens: the stream.
          grid: the (height, width) of the tokens.
          rates: of stochastic depth, a block each.
          key: randomness; None means inference.
          collect: whether to return the streams.
        """
        config = self.config
        layouts = config.layouts(grid)
        num_groups = config.depth // len(layouts)
        turn = layers_per_turn(config.compute, num_groups, blocks_per_layer=len(layouts))
        steps = [self._step(layout, is_looped=turn != num_groups) for layout in layouts]
        keys = None if key is None else jax.random.split(key, config.depth)
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
        if whole == config.depth:
            return stream, streams
        # An odd depth ends with a block without a shift.
        last = self._step(layouts[0], is_looped=False)(stream, _layer(layers, whole))
        return last, jnp.concatenate([streams, stream[None]]) if collect else streams

    def _step(self, layout: WindowLayout, *, is_looped: bool) -> Callable[[Array, PyTree], Array]:
        """Gives one block under a layout as a function of the stream and of (parameters, rate, key)."""
        graph, _ = nnx.split(self.blocks)

        def step(stream: Array, layer: PyTree) -> Array:
            params, rate, key = layer
            return nnx.merge(graph, params)(stream, drop_rate=rate, layout=layout, key=key)

        return rematerialise(step, self.config.compute.remat, is_looped=is_looped)

    def attention_inputs(
        self, entering: Float[Array, "depth batch tokens channels"], *, grid: Grid, first: int
    ) -> tuple[AttentionInputs, ...]:
        """Gives what enters the attention of every block, those of one layout together.

        Args:
          entering: the stream that enters each block.
          grid: the (height, width) of its tokens.
          first: how many blocks of the model come before this stage.
        """
        graph, stacked = nnx.split(self.blocks)
        attention_graph, attention_params = nnx.split(self.blocks.attention)
        layouts = self.config.layouts(grid)[: self.config.depth]

        def split(layout: WindowLayout, layer: tuple[PyTree, Array]) -> Array:
            block = nnx.merge(graph, layer[0])
            return layout.split(block.before(layer[1], block.norm1))

        return tuple(
            AttentionInputs(
                graph=attention_graph,
                params=_every(attention_params, offset, len(layouts)),
                tokens=jax.lax.map(
                    lambda layer, layout=layout: split(layout, layer), _every((stacked, entering), offset, len(layouts))
                ),
                mask=None if layout.mask is None else jnp.asarray(layout.mask),
                shared=None,
                layers=np.arange(self.config.depth)[offset :: len(layouts)] + first,
            )
            for offset, layout in enumerate(layouts)
        )

    def intermediates(
        self,
        entering: Float[Array, "depth batch tokens channels"],
        leaving: Float[Array, "batch tokens channels"],
        *,
        grid: Grid,
    ) -> Intermediates:
        """Gives what every block does, from the stream that enters each and the one that leaves the last."""
        groups = self.attention_inputs(entering, grid=grid, first=0)
        weights, biases = zip(*(group.map(_weights_and_bias) for group in groups), strict=True)
        order = np.argsort(np.concatenate([group.layers for group in groups]))
        return Intermediates(
            tokens=jnp.concatenate([entering[1:], leaving[None]]),
            attention_weights=_in_order(weights, order),
            logits_bias=_in_order(biases, order),
        )


def _weights_and_bias(attention: Attention, tokens: Array, mask: Array | None, shared: Array | None) -> PyTree:
    return attention.weights(tokens, shared=shared, mask=mask), attention.logits_bias(shared=shared)


def _in_order(parts: Sequence[Float[Array, "..."]], order: np.ndarray) -> Float[Array, "..."]:
    return jnp.take(jnp.concatenate(parts), order, axis=0)


def _layer(layers: PyTree, index: int) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[index], layers)


def _every(layers: PyTree, offset: int, period: int) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[offset::period], layers)
