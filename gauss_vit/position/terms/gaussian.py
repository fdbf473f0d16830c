"""The Gaussian attention bias: the prior that near patches matter more, with a width and a strength to learn."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.errors import ConfigError
from gauss_vit.ops.grid import Grid
from gauss_vit.position.term import BiasTerm, TermParams

# Below it the square is finite in float32, whose largest number is 3.4e38.
_LARGEST_AMPLITUDE = 1e19
# Below this width, in units of the term, a Gaussian is one patch to the last bit; it keeps sigma = 0 from giving 0 / 0.
_SMALLEST_SIGMA = 1e-6


def is_usable_amplitude(amplitude: float) -> bool:
    """Returns whether the square of an amplitude, which is what logits get, is finite in float32, and itself not 0."""
    return amplitude != 0 and bool(abs(amplitude) < _LARGEST_AMPLITUDE)


@dataclass(frozen=True, kw_only=True)
class Gaussian(BiasTerm):
    """A Gaussian over patch offsets, added to the attention logits after their scaling by 1 / sqrt(head width).

      table[dy, dx] = amplitude^2 exp(-(dy^2 + dx^2) / (2 sigma^2))

    Amplitude and sigma are learned, one pair a layer (shared by its heads) or one a head. The amplitude is squared, so
    that the bias is never negative; both signs of either parameter mean the same. An amplitude of exactly 0 has no
    gradient and stays there.

    Attributes:
      amplitude: initial amplitude; the largest logit is its square.
      sigma: initial standard deviation, in units of `unit`.
      per_head: a pair of parameters for every head instead of one for the layer.
      anisotropic: separate standard deviations for dy and dx.
      unit: "patch" measures offsets in patches; "image" in fractions of the image's sides, so that the Gaussian keeps
        its place in the picture at every resolution.
      image: the (height, width) of the image in patches, for unit "image" where the table covers a window of it; the
        table's own grid when None.

    Raises:
      ConfigError: an initial value is not finite, the amplitude is 0, sigma is not positive, or a side of the
        image is below 1.

    Source: Kim et al., BMVC 2023 (arXiv 2305.04722), section 4, equation 3, and supplement C for the initial values.
    """

    amplitude: float = 2.0
    sigma: float = 5.0
    per_head: bool = False
    anisotropic: bool = False
    unit: Literal["patch", "image"] = "patch"
    image: tuple[int, int] | None = None

    def __post_init__(self):
        if not is_usable_amplitude(self.amplitude):
            raise ConfigError(
                f"amplitude must be finite, in float32 squared too, and not 0, got {self.amplitude}",
                do="start at 2, or leave the term out",
            )
        if not np.isfinite(self.sigma) or self.sigma < _SMALLEST_SIGMA:
            raise ConfigError(f"sigma must be finite and at least {_SMALLEST_SIGMA}, got {self.sigma}")
        if self.unit not in ("patch", "image"):
            raise ConfigError(f"unit must be 'patch' or 'image', got {self.unit!r}")
        if self.image is not None and min(self.image) < 1:
            raise ConfigError(f"image must be at least 1 x 1, got {self.image}")

    @property
    def name(self) -> str:
        """The key of its parameters in the tree."""
        return "gaussian"

    def init(self, key: PRNGKeyArray, *, grid: Grid, num_heads: int) -> dict[str, Array]:
        """Returns float32 `amplitude` and `sigma`, [1] or [heads]; anisotropic: `sigma` is [2, 1 or heads] (dy, dx)."""
        del key, grid
        shape = (num_heads if self.per_head else 1,)
        sigma_shape = (2, *shape) if self.anisotropic else shape
        return {
            "amplitude": jnp.full(shape, self.amplitude, jnp.float32),
            "sigma": jnp.full(sigma_shape, self.sigma, jnp.float32),
        }

    def table(self, params: TermParams, grid: Grid, *, key: PRNGKeyArray | None = None) -> Float[Array, "#heads dy dx"]:
        """Computes the Gaussian at every offset, in float32 logits; finite, as is its gradient, for every sigma."""
        del key
        amplitude = params["amplitude"].astype(jnp.float32)[:, None, None]
        sigma = params["sigma"].astype(jnp.float32).reshape(-1, params["sigma"].shape[-1], 1, 1)
        sigma = jnp.where(jnp.abs(sigma) < _SMALLEST_SIGMA, _SMALLEST_SIGMA, sigma)
        exponent = jnp.sum(self._squares(grid) * (1 / sigma) ** 2, axis=0) / 2
        return amplitude**2 * jnp.exp(-exponent)

    @property
    def undecayed(self) -> tuple[str, ...]:
        """Both parameters: weight decay would pull the width to zero, whatever the data say."""
        return "amplitude", "sigma"

    def on_image(self, grid: Grid) -> "Gaussian":
        """Returns the Gaussian for windows of an image of so many patches, which matters in units of the image."""
        return replace(self, image=grid) if self.unit == "image" else self

    def zero(self, params: TermParams) -> dict[str, Array]:
        """Returns an amplitude of 0; the width means nothing then and stays."""
        return {"amplitude": jnp.zeros_like(params["amplitude"])}

    def numbers(self, params: Mapping[str, np.ndarray], grid: Grid) -> dict[str, Float[np.ndarray, "depth _"]]:
        """Returns `amplitude` and `sigma`, or `sigma_x` and `sigma_y` where they may differ, without signs, in patches.

        An isotropic Gaussian in units of an image that is not square has two widths in patches.
        """
        down, across = (np.abs(each) for each in self.widths(params, grid))
        height, width = self._unit(grid)
        is_round = not self.anisotropic and height == width
        widths = {"sigma": down} if is_round else {"sigma_x": across, "sigma_y": down}
        return widths | {"amplitude": np.abs(params["amplitude"])}

    def widths(
        self, params: Mapping[str, np.ndarray], grid: Grid
    ) -> tuple[Float[np.ndarray, "depth heads"], Float[np.ndarray, "depth heads"]]:
        """Returns the standard deviations of stacked layers along (dy, dx), in patches whatever the unit."""
        sigma = params["sigma"]
        down, across = (sigma[:, 0], sigma[:, 1]) if self.anisotropic else (sigma, sigma)
        height, width = self._unit(grid)
        return down * np.float32(height), across * np.float32(width)

    def _unit(self, grid: Grid) -> Grid:
        """The (height, width) in patches that offsets are measured in."""
        return (self.image or grid) if self.unit == "image" else (1, 1)

    def _squares(self, grid: Grid) -> Float[np.ndarray, "axes 1 dy dx"]:
        """Computes dy^2 and dx^2 of every offset, or their sum where one sigma serves both axes."""
        rows, columns = (
            np.square(np.arange(1 - size, size, dtype=np.float32) / np.float32(length))
            for size, length in zip(grid, self._unit(grid), strict=True)
        )
        squares = np.stack(np.meshgrid(rows, columns, indexing="ij"))[:, None]
        return squares if self.anisotropic else squares.sum(axis=0, keepdims=True)
