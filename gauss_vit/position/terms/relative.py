"""Relative position bias of Swin and BEiT: one learned number for every head and offset."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.errors import ConfigError
from gauss_vit.ops.grid import Grid, offset_shape
from gauss_vit.ops.initializers import truncated_normal
from gauss_vit.ops.resize import resize_offset_table
from gauss_vit.position.term import MASKED, BiasTerm, TermParams

_NUM_PREFIX = 3
# Default standard deviation of timm's `trunc_normal_`.
_STD_OF_PAPER_CODE = 1.0


@dataclass(frozen=True, kw_only=True)
class RelativeTable(BiasTerm):
    """A learned table over patch offsets (timm's `RelPosBias`), tied to the grid on which it was made.

    Attributes:
      init_std: Standard deviation of its truncated normal initialisation; 0 for zeros, as in BEiT.
      has_prefix: Whether each head has three more numbers, for pairs of tokens with a class token (BEiT).

    Raises:
      ConfigError: the standard deviation is negative or not finite.

    Source: Liu et al., Swin Transformer (ICCV 2021), equation 4; timm `RelPosBias`.
    """

    init_std: float = 0.02
    has_prefix: bool = False

    def __post_init__(self):
        if not 0 <= self.init_std < math.inf:
            raise ConfigError(f"init_std must be finite and not negative, got {self.init_std}")

    @property
    def name(self) -> str:
        """Key of its parameters in the tree."""
        return "relative"

    def init(self, key: PRNGKeyArray, *, grid: Grid, num_heads: int) -> dict[str, Array]:
        """Draws `table`, float32 [heads, 2 height - 1, 2 width - 1].

        With `has_prefix` it is `table_and_prefix` instead, [heads, (2 height - 1) (2 width - 1) + 3], as in BEiT.
        """
        if self.has_prefix:
            shape = (num_heads, math.prod(offset_shape(grid)) + _NUM_PREFIX)
            return {"table_and_prefix": truncated_normal(key, shape, std=self.init_std)}
        return {"table": truncated_normal(key, (num_heads, *offset_shape(grid)), std=self.init_std)}

    def table(self, params: TermParams, grid: Grid, *, key: PRNGKeyArray | None = None) -> Float[Array, "heads dy dx"]:
        """Returns the table itself, in float32 logits.

        Raises:
          ValueError: the table was made on another grid; it must be resampled when it is loaded.
        """
        del key
        offset_table = self._offsets(params, grid).astype(jnp.float32)
        if offset_table.shape[1:] != offset_shape(grid):
            raise ValueError(f"a grid of {grid} needs a table of {offset_shape(grid)}, got {offset_table.shape[1:]}")
        return offset_table

    def prefix(self, params: TermParams) -> Float[Array, "heads 3"] | None:
        """Returns the logits from class token to patch, from patch to class token, and from class token to itself."""
        return params["table_and_prefix"][:, -_NUM_PREFIX:].astype(jnp.float32) if self.has_prefix else None

    @property
    def is_tied_to_grid(self) -> bool:
        """Whether its parameters fit one grid only: True."""
        return True

    @property
    def is_in_foreign_files(self) -> bool:
        """Whether weight files of timm and Hugging Face hold its parameters: True."""
        return True

    def resample(self, params: Mapping[str, np.ndarray], *, source: Grid, target: Grid) -> dict[str, np.ndarray]:
        """Resamples tables, with any leading axes, as timm does when it loads weights; prefix numbers do not change.

        Raises:
          ConfigError: a table has masked offsets, between which nothing can be interpolated.
        """
        for value in params.values():
            check_can_be_resampled(value, source=source, target=target)
        shape, new_shape = offset_shape(source), offset_shape(target)
        if not self.has_prefix:
            table = params["table"]
            resized = resize_offset_table(table.reshape(-1, *shape), new_shape)
            return {"table": resized.reshape(*table.shape[:-2], *new_shape)}
        joined = params["table_and_prefix"]
        offsets, prefix = np.split(joined, [math.prod(shape)], axis=-1)
        resized = resize_offset_table(offsets.reshape(-1, *shape), new_shape)
        return {"table_and_prefix": np.concatenate([resized.reshape(*joined.shape[:-1], -1), prefix], axis=-1)}

    def as_in_paper_code(self) -> "RelativeTable | None":
        """Returns the table as the paper's code draws it for Swin (`swinz`); None for BEiT's, which it keeps."""
        return None if self.has_prefix else replace(self, init_std=_STD_OF_PAPER_CODE)

    def _offsets(self, params: TermParams, grid: Grid) -> Float[Array, "heads dy dx"]:
        if not self.has_prefix:
            return params["table"]
        flat = params["table_and_prefix"][:, :-_NUM_PREFIX]
        if flat.shape[1] != math.prod(offset_shape(grid)):
            raise ValueError(f"a grid of {grid} needs a table of {offset_shape(grid)}, got {flat.shape[1]} numbers")
        return flat.reshape(-1, *offset_shape(grid))


def has_masked_offsets(table: Float[np.ndarray, "..."]) -> bool:
    """Returns whether some logits of a table are those of masked offsets."""
    return bool(np.min(table, initial=0) < MASKED / 2)


def check_can_be_resampled(table: Float[np.ndarray, "..."], *, source: Grid, target: Grid) -> None:
    """Checks that a table may be resampled from one grid to another.

    Raises:
      ConfigError: it has masked offsets, between which nothing can be interpolated.
    """
    if has_masked_offsets(table):
        raise ConfigError(
            f"a table with masked offsets cannot be resampled from a grid of {source} to {target}",
            do="resample the model before its terms are baked into a table",
        )
