"""FIRE: a small network of the logarithmic distance, relative to the size of the grid."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.errors import ConfigError
from gauss_vit.ops.grid import Grid, offset_shape
from gauss_vit.ops.initializers import fan_in_uniform
from gauss_vit.ops.offsets import euclidean
from gauss_vit.position.term import BiasTerm, TermParams

_EPSILON = 1e-6


@dataclass(frozen=True, kw_only=True)
class Fire(BiasTerm):
    """Two dense layers from the interpolated distance, which is 1 at the far end of the grid, to the logits.

      x[dy, dx] = psi(r) / psi(max(R, |threshold|)),    psi(r) = ln(1 + |c| r),    r = sqrt(dy^2 + dx^2)
      table[:, dy, dx] = fc2 relu(fc1 x[dy, dx])

    R is the longest distance on the grid. So x is 1 at the far end of any larger grid, and on grids below the threshold
    distances are absolute.

    Attributes:
      hidden: Number of hidden units; the paper's code has 32.
      log_scale: Initial c, in 1 / patch; the paper's code has 0.1.
      threshold: Initial threshold in patches. None is the longest distance on the grid of the start, so that only a
        larger grid is interpolated.
      per_head: Whether each head has an output of its own; otherwise a layer has one.

    Raises:
      ConfigError: a value is out of range.

    Source: Li et al., Functional Interpolation for Relative Positions Improves Long Context Transformers (ICLR 2024,
    arXiv 2310.04418), section 3 and the code of its appendix. On sequences the paper divides by the position of the
    query, which sees only what is before it; here every patch sees all, so all divide by the longest distance, and the
    bias depends on the offset alone. The paper's threshold starts at 512 words; the size of the grid is in its place.
    """

    hidden: int = 32
    log_scale: float = 0.1
    threshold: float | None = None
    per_head: bool = True

    def __post_init__(self):
        if self.hidden < 1:
            raise ConfigError(f"hidden must be at least 1, got {self.hidden}")
        if not 0 < self.log_scale < math.inf:
            raise ConfigError(f"log_scale must be positive, got {self.log_scale}")
        if self.threshold is not None and not 0 < self.threshold < math.inf:
            raise ConfigError(f"threshold must be positive, got {self.threshold}")

    @property
    def name(self) -> str:
        """Key of its parameters in the tree."""
        return "fire"

    def init(self, key: PRNGKeyArray, *, grid: Grid, num_heads: int) -> dict[str, Array]:
        """Draws `fc1_kernel` [1, hidden], `fc1_bias`, `fc2_kernel` [hidden, heads or 1], `fc2_bias`, all float32.

        They are uniform within +-1 / sqrt(fan-in), PyTorch's default. `log_scale` and `threshold` are [1].
        """
        keys = jax.random.split(key, 4)
        outputs = num_heads if self.per_head else 1
        threshold = _longest(grid) if self.threshold is None else self.threshold
        return {
            "fc1_kernel": fan_in_uniform(keys[0], (1, self.hidden), fan_in=1),
            "fc1_bias": fan_in_uniform(keys[1], (self.hidden,), fan_in=1),
            "fc2_kernel": fan_in_uniform(keys[2], (self.hidden, outputs), fan_in=self.hidden),
            "fc2_bias": fan_in_uniform(keys[3], (outputs,), fan_in=self.hidden),
            "log_scale": jnp.full((1,), self.log_scale, jnp.float32),
            "threshold": jnp.full((1,), threshold, jnp.float32),
        }

    def table(self, params: TermParams, grid: Grid, *, key: PRNGKeyArray | None = None) -> Float[Array, "#heads dy dx"]:
        """Computes the network's output at every offset, in float32 logits."""
        del key
        weights = {name: value.astype(jnp.float32) for name, value in params.items()}
        scale = jnp.abs(weights["log_scale"])
        longest = jnp.maximum(jnp.abs(weights["threshold"]), np.float32(_longest(grid)))
        inputs = jnp.log1p(scale * euclidean(grid).reshape(-1)) / (jnp.log1p(scale * longest) + _EPSILON)
        # Exact products: on accelerators the default precision would round the distances to bfloat16 or TF32.
        hidden = jnp.matmul(inputs[:, None], weights["fc1_kernel"], precision="highest") + weights["fc1_bias"][None]
        output = jnp.matmul(jax.nn.relu(hidden), weights["fc2_kernel"], precision="highest")
        return (output + weights["fc2_bias"][None]).T.reshape(-1, *offset_shape(grid))

    @property
    def undecayed(self) -> tuple[str, ...]:
        """The scale and the threshold; the network is decayed like others."""
        return "log_scale", "threshold"

    def numbers(self, params: Mapping[str, np.ndarray], grid: Grid) -> dict[str, Float[np.ndarray, "depth _"]]:
        """Returns `log_scale` in 1 / patch and `threshold` in patches."""
        del grid
        return {name: np.abs(params[name]) for name in ("log_scale", "threshold")}


def _longest(grid: Grid) -> float:
    """Returns the longest distance on a grid, in patches; 1 on a grid of one patch."""
    return max(math.hypot(grid[0] - 1, grid[1] - 1), 1.0)
