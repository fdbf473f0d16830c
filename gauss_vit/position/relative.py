"""The relative position bias of Swin and BEiT: one learned number for every head and offset."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.ops.grid import Grid, offset_shape
from gauss_vit.ops.initializers import truncated_normal
from gauss_vit.position.term import TermParams


@dataclass(frozen=True, kw_only=True)
class RelativeTable:
    """A free table over patch offsets (timm's `RelPosBias`), tied to the grid on which it was made.

    Attributes:
      init_std: the standard deviation of its truncated normal start; 0 starts at zeros, as BEiT does.
      has_prefix: three more numbers a head, for pairs with a class token (BEiT).

    Source: Liu et al., Swin Transformer (ICCV 2021), equation 4; timm `RelPosBias`.
    """

    init_std: float = 0.02
    has_prefix: bool = False

    @property
    def name(self) -> str:
        """The key of its parameters in the tree."""
        return "relative"

    def init(self, key: PRNGKeyArray, *, grid: Grid, num_heads: int) -> dict[str, Array]:
        """Gives `table`, float32 [heads, 2 height - 1, 2 width - 1], and with `has_prefix` also `prefix` [heads, 3]."""
        table_key, prefix_key = jax.random.split(key)
        params = {"table": truncated_normal(table_key, (num_heads, *offset_shape(grid)), std=self.init_std)}
        if self.has_prefix:
            params["prefix"] = truncated_normal(prefix_key, (num_heads, 3), std=self.init_std)
        return params

    def table(self, params: TermParams, grid: Grid, *, key: PRNGKeyArray | None = None) -> Float[Array, "heads dy dx"]:
        """Gives the table itself, in float32 logits.

        Raises:
          ValueError: the grid is not the one of the parameters; a table must be resampled when it is loaded.
        """
        del key
        offset_table = params["table"].astype(jnp.float32)
        if offset_table.shape[1:] != offset_shape(grid):
            raise ValueError(f"a grid of {grid} needs a table of {offset_shape(grid)}, got {offset_table.shape[1:]}")
        return offset_table

    def prefix(self, params: TermParams) -> Float[Array, "heads 3"] | None:
        """Gives the logits from class token to patch, from patch to class token, and of the class token to itself."""
        return params["prefix"].astype(jnp.float32) if self.has_prefix else None
