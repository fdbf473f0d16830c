"""Stages of a backbone: blocks of equal shape on one grid."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from gauss_vit.errors import ConfigError
from gauss_vit.models.attention import AttentionConfig
from gauss_vit.ops.grid import Grid
from gauss_vit.ops.windows import WindowLayout
from gauss_vit.position.query_gaussian import QueryGaussian
from gauss_vit.position.rotary import Rotary
from gauss_vit.position.term import BiasTerm

SHARED_BIAS = "backbone.shared_bias"
"""Path of the parameters of `Stage.shared_terms`."""

POSITION_EMBED = "backbone.position_embed"
"""Path of the absolute embedding of the patches, where a backbone has one."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Blocks of equal shape on one grid. Block numbers count from 1 through all stages of a backbone.

    Attributes:
      path: Path of the blocks' parameters in a network, stacked on a leading axis.
      first: Number of blocks before the stage.
      depth: Number of blocks.
      model_depth: Number of blocks in all stages; None for the last stage, or the only one.
      grid: The (height, width) of the map, in patches of the stage.
      patch_size: The (height, width) of such a patch in pixels.
      attention: Config of the blocks' attention, whose grid is the window; None for blocks without attention.
      shared_terms: Position terms that the blocks of all stages share, on the same window.
      shift: Shift of the windows in every second block, in patches; (0, 0) for none.
      pads_first: Whether maps are padded to whole windows before they are shifted; otherwise they are padded after it.
    """

    path: str
    first: int
    depth: int
    model_depth: int | None = None
    grid: Grid
    patch_size: Grid
    attention: AttentionConfig | None = None
    shared_terms: tuple[BiasTerm, ...] = ()
    shift: Grid = (0, 0)
    pads_first: bool = False

    @property
    def last(self) -> int:
        """Number of the last block."""
        return self.first + self.depth

    @property
    def places(self) -> Float[np.ndarray, " depth"]:
        """Places of the blocks in the model, from 0 for its first block to 1 for its last; of one block, 0."""
        depth = self.last if self.model_depth is None else self.model_depth
        return (np.arange(self.first, self.last) / max(depth - 1, 1)).astype(np.float32)

    @property
    def window(self) -> Grid:
        """The (height, width) of an attention window, in patches; the grid for blocks without attention."""
        return self.grid if self.attention is None else self.attention.grid

    @property
    def width(self) -> int | None:
        """Number of channels of a map, known from the attention; None for blocks without attention."""
        return None if self.attention is None else self.attention.width

    @property
    def num_heads(self) -> int:
        """Number of attention heads; 0 without attention."""
        return 0 if self.attention is None else self.attention.num_heads

    @property
    def prefix_tokens(self) -> int:
        """Number of tokens before the patches."""
        return 0 if self.attention is None else self.attention.prefix_tokens

    @property
    def terms(self) -> tuple[BiasTerm, ...]:
        """Position terms with parameters of their own in every block."""
        return () if self.attention is None else self.attention.terms

    @property
    def rotary(self) -> Rotary | None:
        """Rotary embedding of every block, or None."""
        return None if self.attention is None else self.attention.rotary

    @property
    def rotary_path(self) -> str:
        """Path of the parameters of `rotary`."""
        return f"{self.path}.attention.rotary"

    @property
    def query_gaussian(self) -> QueryGaussian | None:
        """Gaussian that every query of every block predicts for itself, or None."""
        return None if self.attention is None else self.attention.query_gaussian

    @property
    def query_gaussian_path(self) -> str:
        """Path of the parameters of `query_gaussian`."""
        return f"{self.path}.attention.query_gaussian"

    @property
    def bias_path(self) -> str:
        """Path of the parameters of `terms`."""
        return f"{self.path}.attention.bias"

    @property
    def mixes_heads(self) -> bool:
        """Whether heads are mixed after the softmax, so that attention weights do not sum to 1."""
        return self.attention is not None and self.attention.mixes_heads

    @property
    def is_global(self) -> bool:
        """Whether every block has attention among all patches of the map."""
        return self.attention is not None and self.window == self.grid and not any(self.shift)

    def layouts(self, grid: Grid) -> tuple[WindowLayout, ...]:
        """Returns the layouts that successive blocks use in turn on a map: one, or one without and one with a shift."""
        plain = WindowLayout(grid=grid, window=self.window, pads_first=self.pads_first)
        shifted = WindowLayout(grid=grid, window=self.window, shift=self.shift, pads_first=self.pads_first)
        return (plain, shifted) if any(self.shift) else (plain,)


def stage_of_block(stages: Sequence[Stage], block: int) -> int:
    """Finds the stage of a block.

    Args:
      stages: Stages of a backbone.
      block: Number of the block, from 1 through all stages.

    Returns:
      The index of the stage, from 0.

    Raises:
      ConfigError: there is no such block.
    """
    depth = stages[-1].last
    if not 1 <= block <= depth:
        raise ConfigError(f"there is no layer {block} in a model of {depth}", do=f"choose last or 1 to {depth}")
    return next(index for index, stage in enumerate(stages) if block <= stage.last)
