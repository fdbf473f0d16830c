"""KERPLE: logits fall with a power or with the logarithm of the distance."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.errors import ConfigError
from gauss_vit.ops.grid import Grid
from gauss_vit.ops.offsets import euclidean
from gauss_vit.position.term import BiasTerm, TermParams

# The paper's code keeps its parameters above 0.01; a power of 2 is the largest that gives a kernel.
_LOWEST, _LARGEST_POWER = 0.01, 2.0


@dataclass(frozen=True, kw_only=True)
class Kerple(BiasTerm):
    """Logits that fall with a conditionally positive definite kernel of the distance r = sqrt(dy^2 + dx^2).

      "logarithm":  table[h, dy, dx] = -|scale_h| ln(1 + |rate_h| r)
      "power":      table[h, dy, dx] = -|scale_h| r^power_h,    power = 2 sigmoid(power_logit)

    The logarithm falls steeply near a patch and is nearly flat far from it; a power of 1 is ALiBi, one of 2 a parabola.
    The paper is on sequences, with r the distance of two words; the Euclidean distance of two patches keeps the kernels
    conditionally positive definite, as they are in any dimension. A scale of exactly 0 has no gradient and stays there.

    Attributes:
      kernel: Which of the two.
      per_head: Whether each head has parameters of its own; otherwise a layer has one set.

    Raises:
      ConfigError: there is no such kernel.

    Source: Chi et al., KERPLE (NeurIPS 2022, arXiv 2205.09921), section 3; `ParallelKerpleLog` and
    `ParallelKerplePower` of its code. The code cuts parameters off at 0.01 after each step; absolute values and a
    sigmoid keep them in range here, so that none gets stuck.
    """

    kernel: Literal["logarithm", "power"] = "logarithm"
    per_head: bool = True

    def __post_init__(self):
        if self.kernel not in ("logarithm", "power"):
            raise ConfigError(f"kernel must be 'logarithm' or 'power', got {self.kernel!r}")

    @property
    def name(self) -> str:
        """Key of its parameters in the tree."""
        return "kerple"

    def init(self, key: PRNGKeyArray, *, grid: Grid, num_heads: int) -> dict[str, Array]:
        """Draws `scale` and `rate`, or `scale` and `power_logit`, float32 [heads] or [1].

        As in the paper's code, the scale of the logarithm and the power are uniform in [0.01, 2], the rate and the
        scale of the power in [0.01, 1].
        """
        del grid
        scale_key, other_key = jax.random.split(key)
        shape = (num_heads if self.per_head else 1,)
        most = 2.0 if self.kernel == "logarithm" else 1.0
        scale = jax.random.uniform(scale_key, shape, jnp.float32, _LOWEST, most)
        if self.kernel == "logarithm":
            return {"scale": scale, "rate": jax.random.uniform(other_key, shape, jnp.float32, _LOWEST, 1.0)}
        share = jax.random.uniform(other_key, shape, jnp.float32, _LOWEST / _LARGEST_POWER, 1 - 1e-3)
        return {"scale": scale, "power_logit": jnp.log(share) - jnp.log1p(-share)}

    def table(self, params: TermParams, grid: Grid, *, key: PRNGKeyArray | None = None) -> Float[Array, "#heads dy dx"]:
        """Computes the logits at every offset, in float32; finite, as is its gradient, for every parameter."""
        del key
        values = {name: value.astype(jnp.float32)[:, None, None] for name, value in params.items()}
        distance = euclidean(grid)[None]
        if self.kernel == "logarithm":
            rising = jnp.log1p(jnp.abs(values["rate"]) * distance)
        else:
            # The logarithm of 0 would have no gradient.
            power = _LARGEST_POWER * jax.nn.sigmoid(values["power_logit"])
            rising = jnp.where(distance > 0, jnp.exp(power * np.log(np.maximum(distance, 1))), 0)
        return -jnp.abs(values["scale"]) * rising

    @property
    def undecayed(self) -> tuple[str, ...]:
        """All parameters: weight decay would flatten the kernel, whatever the data say."""
        return ("scale", "rate") if self.kernel == "logarithm" else ("scale", "power_logit")

    def zero(self, params: TermParams) -> dict[str, Array]:
        """Returns a scale of 0; the other parameter means nothing then and stays."""
        return {"scale": jnp.zeros_like(params["scale"])}

    def numbers(self, params: Mapping[str, np.ndarray], grid: Grid) -> dict[str, Float[np.ndarray, "depth _"]]:
        """Returns `scale` in logits, and `rate` in 1 / patch or `power`, as the equations use them."""
        del grid
        scale = {"scale": np.abs(params["scale"])}
        if self.kernel == "logarithm":
            return scale | {"rate": np.abs(params["rate"])}
        return scale | {"power": _LARGEST_POWER / (1 + np.exp(-np.clip(params["power_logit"], -80, 80)))}
