"""A stage with attention among all tokens of an image: runs all its blocks, the first ones, or one for one token."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Int32, PRNGKeyArray

from gauss_vit.models.block_scan import block_at, run_all_but_last, run_blocks, run_first
from gauss_vit.models.blocks import Block
from gauss_vit.models.compute import Compute
from gauss_vit.models.features import AttentionInputs
from gauss_vit.models.observed import attention_inputs
from gauss_vit.models.stage import Stage


@dataclass(frozen=True, kw_only=True)
class GlobalStage:
    """Stacked blocks and everything that running them needs; parameters are referenced, not copied.

    Attributes:
      stage: Shape of the blocks.
      blocks: Blocks whose parameters are stacked.
      shared: Offset table that all blocks share, or None.
      compute: Settings of the loop over the blocks and of rematerialisation.
    """

    stage: Stage
    blocks: Block
    shared: Float[Array, "#heads dy dx"] | None
    compute: Compute

    def run(
        self,
        tokens: Float[Array, "batch tokens channels"],
        *,
        rates: Float[np.ndarray, " depth"],
        key: PRNGKeyArray | None = None,
        collect: bool = False,
    ) -> tuple[Float[Array, "batch tokens channels"], Float[Array, "depth batch tokens channels"] | None]:
        """Runs all blocks, see `block_scan.run_blocks`."""
        return run_blocks(
            self.blocks,
            tokens,
            rates=rates,
            shared=self.shared,
            compute=self.compute,
            key=key,
            collect=collect,
        )

    def run_all_but_last(self, tokens: Float[Array, "batch tokens channels"]) -> Float[Array, "batch tokens channels"]:
        """Computes the residual stream that enters the last block, without dropout."""
        depth, shared = self.stage.depth, self.shared
        return run_all_but_last(self.blocks, tokens, depth=depth, shared=shared, compute=self.compute)

    def run_last(self, tokens: Float[Array, "batch tokens channels"]) -> Float[Array, "batch tokens channels"]:
        """Runs the last block alone, without dropout."""
        last = block_at(self.blocks, self.stage.depth - 1)
        return last(tokens, drop_rate=jnp.float32(0), shared=self.shared)

    def run_first(
        self, tokens: Float[Array, "batch tokens channels"], num_blocks: Int32[Array, ""]
    ) -> Float[Array, "batch tokens channels"]:
        """Runs the first `num_blocks` blocks, without dropout; the number may be traced."""
        return run_first(
            self.blocks,
            tokens,
            num_blocks,
            layouts=(None,),
            shared=self.shared,
            compute=self.compute,
        )

    def token(
        self,
        tokens: Float[Array, "batch tokens channels"],
        position: Int[Array, "2"],
        *,
        block: Int32[Array, ""] | int,
    ) -> Float[Array, "batch channels"]:
        """Computes the output of a block at one patch, without dropout; the block is computed for that patch alone.

        Args:
          tokens: Stream that enters the block.
          position: (row, column) of the patch.
          block: Index of the block, from 0.
        """
        index = self.index_of(position)
        return block_at(self.blocks, block).at_token(tokens, index, shared=self.shared)[:, 0]

    def index_of(self, position: Int[Array, "2"]) -> Int[Array, ""]:
        """Computes the index of a patch, at (row, column), among all tokens."""
        return self.stage.prefix_tokens + position[0] * self.stage.grid[1] + position[1]

    def patches(self, tokens: Float[Array, "batch tokens channels"]) -> Float[Array, "batch rows columns channels"]:
        """Drops the prefix tokens and reshapes the patches to their grid."""
        return tokens[:, self.stage.prefix_tokens :].reshape(tokens.shape[0], *self.stage.grid, tokens.shape[2])

    def attention_inputs(self, entering: Float[Array, "depth batch tokens channels"]) -> tuple[AttentionInputs, ...]:
        """Computes the inputs of the attention of every block, from the stream that enters each."""
        return attention_inputs(self.blocks, entering, layouts=(None,), shared=self.shared)
