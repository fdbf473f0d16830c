"""A Gaussian whose axes are turned: a longer and a shorter width, and the direction of the longer one."""

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
from gauss_vit.position.terms.gaussian import is_usable_amplitude

# Below this width, in patches, a Gaussian is one patch to the last bit; it keeps a width of 0 from giving 0 / 0.
_SMALLEST_SIGMA = 1e-6


@dataclass(frozen=True, kw_only=True)
class RotatedGaussian(BiasTerm):
    """A Gaussian over patch offsets with two widths and an angle, for edges and textures that have a direction.

      table[h, dy, dx] = amplitude_h^2 exp(-(u / along_h)^2 / 2 - (v / across_h)^2 / 2)
      u = dx cos(angle_h) + dy sin(angle_h),    v = -dx sin(angle_h) + dy cos(angle_h)

    At an angle of 0 the first width lies along rows of patches; a growing angle turns it clockwise in the picture,
    whose y grows downwards. Signs of amplitude and widths, and half turns, mean the same.

    Attributes:
      amplitude: Initial amplitude; the largest logit is its square.
      along: Initial width (standard deviation) in the direction of the angle, in patches.
      across: Initial width perpendicular to it; equal widths have no direction, and the angle no gradient.
      per_head: Whether each head has parameters of its own, with angles that start evenly over half a turn; otherwise a
        layer has one set, whose angle starts at 0.

    Raises:
      ConfigError: an initial value is not finite, the amplitude is 0, a width is not positive, or widths are equal.

    Source: Kim et al., BMVC 2023 (arXiv 2305.04722), equation 3, is the isotropic case, with an amplitude of 2 and a
    width of 5. Widths of 5 and 2.5 and the angles are choices of this package.
    """

    amplitude: float = 2.0
    along: float = 5.0
    across: float = 2.5
    per_head: bool = True

    def __post_init__(self):
        if not is_usable_amplitude(self.amplitude):
            raise ConfigError(
                f"amplitude must be finite, in float32 squared too, and not 0, got {self.amplitude}", do="start at 2"
            )
        for name in ("along", "across"):
            width = vars(self)[name]
            if not math.isfinite(width) or width < _SMALLEST_SIGMA:
                raise ConfigError(f"{name} must be finite and at least {_SMALLEST_SIGMA}, got {width}")
        if self.along == self.across:
            raise ConfigError(f"along and across are both {self.along}", do="choose different widths, or a Gaussian")

    @property
    def name(self) -> str:
        """Key of its parameters in the tree."""
        return "rotated_gaussian"

    def init(self, key: PRNGKeyArray, *, grid: Grid, num_heads: int) -> dict[str, Array]:
        """Returns float32 `amplitude` and `angle` in radians, [heads] or [1], and `sigma` [2, heads or 1]."""
        del key, grid
        heads = num_heads if self.per_head else 1
        return {
            "amplitude": jnp.full((heads,), self.amplitude, jnp.float32),
            "sigma": jnp.asarray(np.repeat([[self.along], [self.across]], heads, axis=1), jnp.float32),
            "angle": jnp.asarray(np.pi * np.arange(heads) / heads, jnp.float32),
        }

    def table(self, params: TermParams, grid: Grid, *, key: PRNGKeyArray | None = None) -> Float[Array, "#heads dy dx"]:
        """Computes the Gaussian at every offset, in float32 logits; finite, as is its gradient, for every width."""
        del key
        amplitude = params["amplitude"].astype(jnp.float32)[:, None, None]
        sigma = params["sigma"].astype(jnp.float32)[:, :, None, None]
        sigma = jnp.where(jnp.abs(sigma) < _SMALLEST_SIGMA, _SMALLEST_SIGMA, sigma)
        angle = params["angle"].astype(jnp.float32)[:, None, None]
        dy, dx = offsets(grid)[:, None]
        along = dx * jnp.cos(angle) + dy * jnp.sin(angle)
        across = dy * jnp.cos(angle) - dx * jnp.sin(angle)
        return amplitude**2 * jnp.exp(-((along / sigma[0]) ** 2 + (across / sigma[1]) ** 2) / 2)

    @property
    def undecayed(self) -> tuple[str, ...]:
        """All parameters: weight decay would pull the widths to zero, whatever the data say."""
        return "amplitude", "sigma", "angle"

    def zero(self, params: TermParams) -> dict[str, Array]:
        """Returns an amplitude of 0; widths and angle mean nothing then and stay."""
        return {"amplitude": jnp.zeros_like(params["amplitude"])}

    def numbers(self, params: Mapping[str, np.ndarray], grid: Grid) -> dict[str, Float[np.ndarray, "depth _"]]:
        """Returns `amplitude`, the widths `along` and `across` in patches, and `angle` in degrees from 0 to 180."""
        del grid
        sigma = np.abs(params["sigma"])
        degrees = np.degrees(params["angle"]) % 180
        return {
            "amplitude": np.abs(params["amplitude"]),
            "along": sigma[:, 0],
            "across": sigma[:, 1],
            "angle": degrees,
        }
