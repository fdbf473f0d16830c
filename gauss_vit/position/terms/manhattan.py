"""Manhattan decay: logits fall linearly with the distance along rows plus that along columns."""

from collections.abc import Mapping
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.errors import ConfigError
from gauss_vit.ops.grid import Grid
from gauss_vit.ops.offsets import manhattan
from gauss_vit.position.term import BiasTerm, TermParams

# Beyond it, the decay 1 - 2^-exponent is 1 in float32.
_LARGEST_EXPONENT = 24


@dataclass(frozen=True, kw_only=True)
class Manhattan(BiasTerm):
    """Logits that fall linearly with the Manhattan distance, so that weights decay by a factor gamma a patch.

      table[h, dy, dx] = ln(gamma_h) (|dy| + |dx|) = -slope_h (|dy| + |dx|)
      gamma_h = 1 - 2^-(first + span h / heads),    h = 0, ..., heads - 1, at the start

    This is the decay as RMT's code adds it to the logits; its paper writes it as a factor of the softmax, which is not
    normalised. Slopes are learned here; RMT keeps them fixed.

    Attributes:
      first: Exponent of the first head; RMT uses 2.
      span: Range of the exponents over heads; RMT uses 4 or 6.
      per_head: Whether each head has a slope of its own; otherwise a layer has one, which starts at the geometric mean
        of the heads' slopes.

    Raises:
      ConfigError: an exponent is not positive, or so large that the slope would be 0.

    Source: Fan et al., RMT: Retentive Networks Meet Vision Transformers (CVPR 2024, arXiv 2309.11523), section 3, and
    `RetNetRelPos2d` of its code.
    """

    first: float = 2.0
    span: float = 4.0
    per_head: bool = True

    def __post_init__(self):
        ends = (self.first, self.first + self.span)
        if not all(0 < end <= _LARGEST_EXPONENT for end in ends):
            raise ConfigError(
                f"exponents must be positive and at most {_LARGEST_EXPONENT}, got first {self.first}, span {self.span}"
            )

    @property
    def name(self) -> str:
        """Key of its parameters in the tree."""
        return "manhattan"

    def init(self, key: PRNGKeyArray, *, grid: Grid, num_heads: int) -> dict[str, Array]:
        """Returns float32 `slope`, [heads] or [1], in logits per patch."""
        del key, grid
        exponents = self.first + self.span * np.arange(num_heads) / num_heads
        slopes = -np.log1p(-np.exp2(-exponents))
        if not self.per_head:
            slopes = np.exp(np.log(slopes).mean(keepdims=True))
        return {"slope": jnp.asarray(slopes, jnp.float32)}

    def table(self, params: TermParams, grid: Grid, *, key: PRNGKeyArray | None = None) -> Float[Array, "#heads dy dx"]:
        """Computes the logits at every offset, in float32."""
        del key
        return -params["slope"].astype(jnp.float32)[:, None, None] * manhattan(grid)[None]

    @property
    def undecayed(self) -> tuple[str, ...]:
        """The slope: weight decay would flatten it, whatever the data say."""
        return ("slope",)

    def numbers(self, params: Mapping[str, np.ndarray], grid: Grid) -> dict[str, Float[np.ndarray, "depth _"]]:
        """Returns `slope`, in logits per patch, and `gamma`, the factor by which a weight decays per patch."""
        del grid
        return {"slope": params["slope"], "gamma": np.exp(-np.clip(params["slope"], -80, None))}
