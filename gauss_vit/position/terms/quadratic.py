"""ConViT's quadratic score: each head prefers the patches around a center of its own."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.errors import ConfigError
from gauss_vit.ops.grid import Grid
from gauss_vit.ops.offsets import offsets
from gauss_vit.position.term import BiasTerm, TermParams


@dataclass(frozen=True, kw_only=True)
class Quadratic(BiasTerm):
    """Logits that fall with the squared distance from a center beside the query, one center a head.

      table[h, dy, dx] = -strength_h (|d|^2 - 2 center_h . d),    d = (-dy, -dx), key minus query

    That is -strength |d - center|^2 without its constant, as in the paper: it is 0 at the query itself. Centers start
    on a square of sqrt(heads) patches a side around the query, so that the heads together start as a convolution; heads
    that do not fill the square start without a preference, with a strength of 0.

    Attributes:
      strength: Initial strength in logits per squared patch (the paper's locality strength); a large one attends to the
        center alone.
      per_head: Whether each head has a center and a strength of its own; otherwise a layer has one, which starts at the
        query itself.

    Raises:
      ConfigError: the strength is not finite, or 0.

    Source: d'Ascoli et al., ConViT (ICML 2021, arXiv 2103.10697), section 3; `GPSA.local_init` of its code.
    ConViT mixes the softmax of this score with that of the content by a gate; the gate acts after the softmax, so it is
    no bias of the logits, and stays out: the score is added to the logits here, as other terms are.
    """

    strength: float = 1.0
    per_head: bool = True

    def __post_init__(self):
        if not math.isfinite(self.strength) or self.strength == 0:
            raise ConfigError(f"strength must be finite and not 0, got {self.strength}", do="start at 1")

    @property
    def name(self) -> str:
        """Key of its parameters in the tree."""
        return "quadratic"

    def init(self, key: PRNGKeyArray, *, grid: Grid, num_heads: int) -> dict[str, Array]:
        """Returns float32 `strength`, [heads] or [1], and `center`, [2, heads or 1] (y, x) in patches."""
        del key, grid
        heads = num_heads if self.per_head else 1
        side = math.isqrt(heads)
        index = np.arange(heads)
        center = np.stack([index % side, index // side]) - (side - 1) / 2
        is_placed = index < side**2
        return {
            "strength": jnp.asarray(np.where(is_placed, self.strength, 0.0), jnp.float32),
            "center": jnp.asarray(np.where(is_placed[None], center, 0.0), jnp.float32),
        }

    def table(self, params: TermParams, grid: Grid, *, key: PRNGKeyArray | None = None) -> Float[Array, "#heads dy dx"]:
        """Computes the logits at every offset, in float32."""
        del key
        strength = params["strength"].astype(jnp.float32)[:, None, None]
        center = params["center"].astype(jnp.float32)[:, :, None, None]
        to_key = -offsets(grid)[:, None]
        return -strength * (jnp.square(to_key) - 2 * center * to_key).sum(axis=0)

    @property
    def undecayed(self) -> tuple[str, ...]:
        """Both parameters: weight decay would pull every center to the query."""
        return "strength", "center"

    def zero(self, params: TermParams) -> dict[str, Array]:
        """Returns a strength of 0; the center means nothing then and stays."""
        return {"strength": jnp.zeros_like(params["strength"])}

    def numbers(self, params: Mapping[str, np.ndarray], grid: Grid) -> dict[str, Float[np.ndarray, "depth _"]]:
        """Returns `strength` in logits per squared patch, `center_x` and `center_y` in patches from query to key."""
        del grid
        center = params["center"]
        return {"strength": params["strength"], "center_x": center[:, 1], "center_y": center[:, 0]}
