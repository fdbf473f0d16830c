"""ALiBi in two dimensions: logits fall linearly with the distance, at a slope of its own in every head."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.ops.grid import Grid
from gauss_vit.ops.offsets import euclidean
from gauss_vit.position.term import BiasTerm, TermParams


@dataclass(frozen=True, kw_only=True)
class Alibi(BiasTerm):
    """Logits that fall linearly with the distance of two patches.

      table[h, dy, dx] = -slope_h sqrt(dy^2 + dx^2)

    Slopes start as a geometric sequence over heads (`geometric_slopes`) and are learned; the paper keeps them fixed. A
    learned slope may become negative: then far patches are preferred.

    Attributes:
      per_head: Whether each head has a slope of its own; otherwise a layer has one, which starts at the geometric mean
        of the heads' slopes.

    Source: Press et al., Train Short, Test Long (ICLR 2022, arXiv 2108.12409), section 3, for the slopes; Fuller et
    al., CROMA (NeurIPS 2023, arXiv 2311.00566), section 3, for the Euclidean distance between patches in place of the
    distance between words.
    """

    per_head: bool = True

    @property
    def name(self) -> str:
        """Key of its parameters in the tree."""
        return "alibi"

    def init(self, key: PRNGKeyArray, *, grid: Grid, num_heads: int) -> dict[str, Array]:
        """Returns float32 `slope`, [heads] or [1], in logits per patch."""
        del key, grid
        slopes = np.asarray(geometric_slopes(num_heads))
        if not self.per_head:
            slopes = np.exp(np.log(slopes).mean(keepdims=True))
        return {"slope": jnp.asarray(slopes, jnp.float32)}

    def table(self, params: TermParams, grid: Grid, *, key: PRNGKeyArray | None = None) -> Float[Array, "#heads dy dx"]:
        """Computes the logits at every offset, in float32."""
        del key
        return -params["slope"].astype(jnp.float32)[:, None, None] * euclidean(grid)[None]

    @property
    def undecayed(self) -> tuple[str, ...]:
        """The slope: weight decay would flatten it, whatever the data say."""
        return ("slope",)

    def numbers(self, params: Mapping[str, np.ndarray], grid: Grid) -> dict[str, Float[np.ndarray, "depth _"]]:
        """Returns `slope`, in logits per patch."""
        del grid
        return {"slope": params["slope"]}


def geometric_slopes(num_heads: int) -> tuple[float, ...]:
    """Returns ALiBi's slope of every head: 2^(-8/n), 2^(-16/n), ..., 2^-8 for n heads.

    If n is not a power of two, the slopes for the next smaller power come first, then every second one of those for
    twice that power.

    >>> geometric_slopes(8)[:3], geometric_slopes(8)[-1]
    ((0.5, 0.25, 0.125), 0.00390625)
    >>> [round(slope, 4) for slope in geometric_slopes(6)]
    [0.25, 0.0625, 0.0156, 0.0039, 0.5, 0.125]
    """
    power = 2 ** math.floor(math.log2(num_heads))
    slopes = tuple(2 ** (-8 * index / power) for index in range(1, power + 1))
    if power == num_heads:
        return slopes
    return slopes + geometric_slopes(2 * power)[::2][: num_heads - power]
