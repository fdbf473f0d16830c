"""LookHere: heads that look in one direction each, and logits that fall linearly with the distance."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from gauss_vit.errors import ConfigError
from gauss_vit.ops.grid import Grid
from gauss_vit.ops.offsets import euclidean, offsets
from gauss_vit.position.term import MASKED, BiasTerm, TermParams

# Compass directions from query to key, (y, x) with y downwards, each an eighth of a turn clockwise of the one before.
_COMPASS = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
# First edge of every head's field of view, as an index of `_COMPASS`, in the order of the paper's code; the other edge
# is so many eighths of a turn further clockwise. Up, down, left, right, then the diagonals, for half turns.
_FIRST_EDGES = {
    180: (6, 2, 4, 0, 7, 5, 1, 3),
    90: (6, 0, 4, 2, 7, 3, 5, 1),
    45: (7, 4, 6, 1, 0, 3, 5, 2),
}
_NUM_DIRECTIONS = len(_COMPASS)
_MOST_UNDIRECTED = 4


@dataclass(frozen=True, kw_only=True)
class LookHere(BiasTerm):
    """Logits that fall linearly with the distance, on the patches that a head sees; all others are masked.

      table[h, dy, dx] = -slope_h sqrt(dy^2 + dx^2)   if key minus query, (-dy, -dx), is in the field of view of head h
                         MASKED                       otherwise

    A field of view of 180, 90 or 45 degrees points in one of eight directions, and includes its edges and the query
    itself. The last third of the heads, at most four, sees everything. Slopes start as in the paper's code and are
    learned; the code keeps them fixed:

      slope = global_slope layer_slope head_slope
      layer_slope = first_layer for the first layer, ..., last_layer for the last, linearly
      head_slope = 1/2 for the first eight directed heads, 1/4 for the next, ...; 1/4, 1/16, 1/64, 1/256 for the others

    A head whose slope is exactly 0 has no bias, and no mask either. Tables with masked offsets must not be resampled:
    bake them at the size at which they are used.

    Attributes:
      field_of_view: Field of view in degrees: LookHere-180, -90 or -45.
      global_slope: Factor of all slopes; the paper's models have 2.
      first_layer: Factor of the first layer.
      last_layer: Factor of the last layer. Terms that all layers share start at the mean of both.

    Raises:
      ConfigError: the field of view is none of the three, or a slope is not positive.

    Source: Fuller et al., LookHere (NeurIPS 2024, arXiv 2405.13985), section 3, and `create_lh_bias_tensor` of its code
    with `halves-diagonals-none`, `corners-triangles-none` and `eighths1-eighths2-none`. The code is for 6, 12 or 16
    heads; the rule for other numbers, which gives the same for these but for the order of 16, is a choice of this
    package. The mask of the code is the largest number of bfloat16.
    """

    field_of_view: Literal[180, 90, 45] = 180
    global_slope: float = 2.0
    first_layer: float = 1.5
    last_layer: float = 0.5

    def __post_init__(self):
        if self.field_of_view not in _FIRST_EDGES:
            raise ConfigError(f"field_of_view must be 180, 90 or 45, got {self.field_of_view}")
        for name in ("global_slope", "first_layer", "last_layer"):
            if not 0 < vars(self)[name] < np.inf:
                raise ConfigError(f"{name} must be positive, got {vars(self)[name]}")

    @property
    def name(self) -> str:
        """Key of its parameters in the tree."""
        return "look_here"

    def init(self, key: PRNGKeyArray, *, grid: Grid, num_heads: int) -> dict[str, Array]:
        """Returns float32 `slope` [heads], in logits per patch, for a layer in the middle of a model."""
        del key, grid
        layer = (self.first_layer + self.last_layer) / 2
        return {"slope": jnp.asarray(self.global_slope * layer * _head_slopes(num_heads), jnp.float32)}

    def at_layer(self, params: TermParams, place: Float[Array, ""]) -> dict[str, Array]:
        """Returns the slopes of a layer, which fall linearly from the first layer to the last."""
        middle = (self.first_layer + self.last_layer) / 2
        layer = self.first_layer + (self.last_layer - self.first_layer) * place
        return {"slope": params["slope"] * (layer / middle).astype(jnp.float32)}

    def table(self, params: TermParams, grid: Grid, *, key: PRNGKeyArray | None = None) -> Float[Array, "heads dy dx"]:
        """Computes the logits at every offset, in float32."""
        del key
        slope = params["slope"].astype(jnp.float32)[:, None, None]
        is_masked = ~views(slope.shape[0], grid, field_of_view=self.field_of_view)
        return jnp.where(is_masked & (slope != 0), MASKED, -slope * euclidean(grid)[None])

    @property
    def undecayed(self) -> tuple[str, ...]:
        """The slope: weight decay would flatten it, whatever the data say."""
        return ("slope",)

    def numbers(self, params: Mapping[str, np.ndarray], grid: Grid) -> dict[str, Float[np.ndarray, "depth _"]]:
        """Returns `slope`, in logits per patch."""
        del grid
        return {"slope": params["slope"]}


def views(num_heads: int, grid: Grid, *, field_of_view: int) -> Bool[np.ndarray, "heads dy dx"]:
    """Returns which offsets each head sees.

    A key is in the field of view if it is not counterclockwise of its first edge, nor clockwise of the second; whole
    numbers decide that, so that patches on an edge are seen exactly.
    """
    dy, dx = -offsets(grid)
    seen = []
    for index in range(_num_directed(num_heads)):
        start = _FIRST_EDGES[field_of_view][index % _NUM_DIRECTIONS]
        first, second = (_COMPASS[(start + turn) % _NUM_DIRECTIONS] for turn in (0, field_of_view // 45))
        seen.append((first[1] * dy - first[0] * dx >= 0) & (second[1] * dy - second[0] * dx <= 0))
    everything = [np.ones_like(dy, bool)] * (num_heads - len(seen))
    return np.stack([*seen, *everything])


def _num_directed(num_heads: int) -> int:
    """Returns how many heads look in a direction: all but a third, and but four at most."""
    return num_heads - min(_MOST_UNDIRECTED, num_heads // 3)


def _head_slopes(num_heads: int) -> Float[np.ndarray, " heads"]:
    """Returns the factor of every head: first those with a direction, then the others."""
    directed = np.arange(_num_directed(num_heads))
    others = np.arange(num_heads - directed.size)
    return np.concatenate([2.0 ** -(1 + directed // _NUM_DIRECTIONS), 4.0 ** -(1 + others)])
