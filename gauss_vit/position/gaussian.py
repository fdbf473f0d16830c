"""The Gaussian attention bias: the prior that near patches matter more, with a width and a strength to learn."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.errors import ConfigError
from gauss_vit.ops.grid import Grid
from gauss_vit.position.term import TermParams

# Below this width, in units of the term, a Gaussian is one patch to the last bit; it keeps sigma = 0 from giving 0 / 0.
_SMALLEST_SIGMA = 1e-6


@dataclass(frozen=True, kw_only=True)
class Gaussian:
    """A Gaussian over patch offsets, added to the attention logits after their scaling by 1 / sqrt(head width).

      table[dy, dx] = amplitude^2 exp(-(dy^2 + dx^2) / (2 sigma^2))

    Amplitude and sigma are learned, one pair a layer (shared by its heads) or one a head. The amplitude is squared, so
    that the bias is never negative; both signs of either parameter mean the same. An amplitude of exactly 0 has no
    gradient and stays there.

    Attributes:
      amplitude: where the amplitude starts; the largest logit is its square.
      sigma: where the standard deviation starts, in units of `unit`.
      per_head: a pair of parameters for every head, not one for the layer.
      anisotropic: separate standard deviations for dy and dx.
      unit: "patch" measures offsets in patches; "image" in fractions of the image's sides, so that the Gaussian keeps
        its place in the picture at every resolution.
      image: the (height, width) of the image in patches, for unit "image" where the table covers a window of it; the
        table's own grid when None.

    Raises:
      ConfigError: a start value is not finite, the amplitude is 0, or sigma is not positive.

    Source: Kim et al., BMVC 2023 (arXiv 2305.04722), section 4, equation 3, and supplement C for the start values.
    """

    amplitude: float = 2.0
    sigma: float = 5.0
    per_head: bool = False
    anisotropic: bool = False
    unit: Literal["patch", "image"] = "patch"
    image: tuple[int, int] | None = None

    def __post_init__(self):
        if not np.isfinite(self.amplitude) or self.amplitude == 0:
            raise ConfigError(
                f"amplitude must be finite and not 0, got {self.amplitude}", do="start at 2, or leave the term out"
            )
        if not np.isfinite(self.sigma) or self.sigma < _SMALLEST_SIGMA:
            raise ConfigError(f"sigma must be finite and at least {_SMALLEST_SIGMA}, got {self.sigma}")
        if self.unit not in ("patch", "image"):
            raise ConfigError(f"unit must be 'patch' or 'image', got {self.unit!r}")

    @property
    def name(self) -> str:
        """The key of its parameters in the tree."""
        return "gaussian"

    def init(self, key: PRNGKeyArray, *, grid: Grid, num_heads: int) -> dict[str, Array]:
        """Gives `amplitude` and `sigma`, float32 [1] or [heads]; an anisotropic `sigma` is [2, 1 or heads] (dy, dx)."""
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
        # Computed anew in the backward pass: it is a few hundred numbers, and all that is kept of it is another array
        # to stack for every layer.
        compute = jax.checkpoint(partial(self._table, grid=grid), prevent_cse=False)
        return compute(params["amplitude"].astype(jnp.float32), params["sigma"].astype(jnp.float32))

    def _table(
        self, amplitude: Float[Array, "#heads"], sigma: Float[Array, "*axes #heads"], *, grid: Grid
    ) -> Float[Array, "#heads dy dx"]:
        heads = (max(amplitude.shape[-1], sigma.shape[-1]),)
        sigmas = tuple(sigma) if self.anisotropic else (sigma,)
        sigmas = tuple(jnp.broadcast_to(each, heads) for each in sigmas)
        return _gaussian(self, grid, jnp.broadcast_to(amplitude, heads), sigmas)

    def prefix(self, params: TermParams) -> None:
        """Prefix tokens have no offset, and so no bias."""
        del params


# One sigma for both axes, or one for each (dy, dx).
_Sigmas = tuple[Float[Array, " heads"], ...]


# With its derivative in closed form, as there is less of that to compile than of one that is derived op by op.
@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _gaussian(
    term: Gaussian, grid: Grid, amplitude: Float[Array, " heads"], sigmas: _Sigmas
) -> Float[Array, "heads dy dx"]:
    decay = _decay([_inverse(sigma) for sigma in sigmas], _squares(term, grid))
    return decay * _spread(jnp.square(amplitude), decay.shape[1:])


@_gaussian.defjvp
def _gaussian_jvp(
    term: Gaussian, grid: Grid, primals: tuple[Array, _Sigmas], tangents: tuple[Array, _Sigmas]
) -> tuple[Float[Array, "heads dy dx"], Float[Array, "heads dy dx"]]:
    (amplitude, sigmas), (amplitude_dot, sigmas_dot) = primals, tangents
    squares = _squares(term, grid)
    inverses = [_inverse(sigma) for sigma in sigmas]
    decay, strength = _decay(inverses, squares), jnp.square(amplitude)
    growth = _spread(2 * amplitude * amplitude_dot, decay.shape[1:])
    # 1 / sigma^3 is the derivative of -1 / (2 sigma^2).
    slopes = [strength * inverse**3 * sigma_dot for inverse, sigma_dot in zip(inverses, sigmas_dot, strict=True)]
    return decay * _spread(strength, decay.shape[1:]), decay * (growth + _weighted(slopes, squares))


def _inverse(sigma: Float[Array, " heads"]) -> Float[Array, " heads"]:
    """Computes 1 / sigma, of the smallest sigma where it is smaller: there the decay, and so its derivative, is 0."""
    return 1 / jnp.where(jnp.abs(sigma) < _SMALLEST_SIGMA, _SMALLEST_SIGMA, sigma)


def _decay(
    inverses: Sequence[Float[Array, " heads"]], squares: Float[np.ndarray, "axes dy dx"]
) -> Float[Array, "heads dy dx"]:
    """Computes exp(-d^2 / (2 sigma^2)), the exponents of both axes added where each has a sigma."""
    precisions = [jnp.square(inverse) / 2 for inverse in inverses]
    # In one long row: XLA unrolls loops over short ones, and an exponential takes long to compile.
    exponent = _weighted(precisions, squares.reshape(len(squares), -1))
    return jnp.exp(-exponent).reshape(-1, *squares.shape[1:])


def _squares(term: Gaussian, grid: Grid) -> Float[np.ndarray, "axes dy dx"]:
    """Gives d^2 of all offsets: along each axis, or their sum where one sigma serves both."""
    scale = (term.image or grid) if term.unit == "image" else (1, 1)
    vertical, horizontal = (
        np.square(np.arange(1 - size, size, dtype=np.float32) / np.float32(unit))
        for size, unit in zip(grid, scale, strict=True)
    )
    along = np.stack(np.broadcast_arrays(vertical[:, None], horizontal[None, :]))
    return along if term.anisotropic else along.sum(axis=0, keepdims=True)


def _weighted(
    weights: Sequence[Float[Array, " heads"]], maps: Float[np.ndarray, "axes *offsets"]
) -> Float[Array, "heads *offsets"]:
    """Sums the maps of the axes, each times its weight for a head."""
    shape = (*weights[0].shape, *maps.shape[1:])
    terms = [
        _spread(weight, shape[1:]) * jnp.broadcast_to(jnp.asarray(along), shape)
        for weight, along in zip(weights, maps, strict=True)
    ]
    return sum(terms[1:], start=terms[0])


def _spread(values: Float[Array, " heads"], offsets: tuple[int, ...]) -> Float[Array, "heads *offsets"]:
    """Repeats each head's value at every offset."""
    return jax.lax.broadcast_in_dim(values, (*values.shape, *offsets), (0,))
