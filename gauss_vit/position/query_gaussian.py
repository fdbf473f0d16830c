"""The Gaussian of LocAt, whose strength and widths every query of every head predicts for itself.

To the logits from the patch i at (y, x) to the patch j at (y + dy, x + dx) it adds, after their scaling,

  strength_i exp(-dy^2 / (2 (variance_i,y + epsilon)) - dx^2 / (2 (variance_i,x + epsilon)))

  strength_i = softplus(q_i strength_kernel + strength_bias)
  variance_i = c sigmoid(q_i variance_kernel + variance_bias - log(c - 1)),    c = max(height, width)^2

with q_i the query, before it is scaled, rotated or normalised: a variance of 1 where q_i = 0. It has no table over
offsets, but it is a product of a function of the row and one of the column, so that two short vectors and a number for
each query say all of it. Prefix tokens neither have a Gaussian nor get a share of one.

Source: Hajimiri et al., Locality-Attending Vision Transformer (ICLR 2026, arXiv 2603.04892), section 4.1, and its code,
sinahmr/LocAtViT `models/locat.py`. Its training on maps of 32 rows and more predicts one Gaussian for 2 x 2 queries, to
save time; here and in its evaluation every query has its own.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from gauss_vit.errors import ConfigError
from gauss_vit.ops.einsum import einsum
from gauss_vit.ops.grid import Grid
from gauss_vit.ops.initializers import truncated_normal
from gauss_vit.position.term import TermParams

# The largest exponent that the code admits, twice, so that half precision does not overflow.
_LARGEST_SQUARE = 13100.0
_LARGEST_RATIO = 32500.0
# Its softplus is 0 in float32.
_NO_STRENGTH = -1000.0


@dataclass(frozen=True, kw_only=True)
class QueryGaussian:
    """A Gaussian with a strength and two variances that are predicted from each query, by one linear map a layer.

    Attributes:
      reference: Grid that the map is trained on, (height, width), for use on other grids: c and epsilon are those of
        the reference, variances grow with the shorter side, and offsets along an axis count as at most its longest one.
        None for the grid at hand.

    Raises:
      ConfigError: a side of the reference is below 1.
    """

    reference: Grid | None = None

    def __post_init__(self):
        if self.reference is not None and min(self.reference) < 1:
            raise ConfigError(f"reference must be at least 1 x 1, got {self.reference}")

    def init(self, key: PRNGKeyArray, *, channels: int) -> dict[str, Array]:
        """Draws the linear maps from a query to two variances (y, x) and a strength: std 0.02, biases 0, as timm."""
        variance_key, strength_key = jax.random.split(key)
        return {
            "variance_kernel": truncated_normal(variance_key, (channels, 2), std=0.02),
            "variance_bias": jnp.zeros((2,), jnp.float32),
            "strength_kernel": truncated_normal(strength_key, (channels, 1), std=0.02),
            "strength_bias": jnp.zeros((1,), jnp.float32),
        }

    def predict(
        self, params: TermParams, query: Float[Array, "batch query heads channels"], grid: Grid
    ) -> Float[Array, "batch heads query 3"]:
        """Predicts the Gaussians of queries: strength, 1 / (variance_y + epsilon) and 1 / (variance_x + epsilon)."""
        kernel = jnp.concatenate([params["strength_kernel"], params["variance_kernel"]], axis=1)
        bias = jnp.concatenate([params["strength_bias"], params["variance_bias"]]).astype(jnp.float32)
        values = einsum("bqhc,ck->bhqk", query.astype(jnp.float32), kernel.astype(jnp.float32))
        values = values + jnp.broadcast_to(bias, values.shape)
        reference = self.reference or grid
        largest = np.float32(max(reference) ** 2)
        shift = np.float32(np.log(largest - 1) if largest > 2 else 0)
        growth = np.float32(min(grid) / min(reference))
        variances = growth * largest * jax.nn.sigmoid(values[..., 1:] - shift)
        strength = jax.nn.softplus(values[..., :1])
        return jnp.concatenate([strength, 1 / (variances + np.float32(self.epsilon(grid)))], axis=-1)

    def epsilon(self, grid: Grid) -> float:
        """Returns what is added to variances: 0.1, doubled until the longest offset's exponent is in half precision."""
        epsilon, square = 0.1, (max(self.reference or grid) - 1) ** 2 / 2
        while square / epsilon**2 > _LARGEST_RATIO:
            epsilon *= 2
        return epsilon

    def largest_square(self, grid: Grid) -> float:
        """Returns the square of an offset along an axis, in patches, that longer ones count as."""
        return min(float((max(self.reference or grid) - 1) ** 2), _LARGEST_SQUARE)

    def zero(self, params: TermParams) -> dict[str, Array]:
        """Returns new values of the parameters that predict a strength of 0 for every query."""
        kernel, bias = params["strength_kernel"], params["strength_bias"]
        return {"strength_kernel": jnp.zeros_like(kernel), "strength_bias": jnp.full_like(bias, _NO_STRENGTH)}

    @property
    def undecayed(self) -> tuple[str, ...]:
        """The biases, as in the code."""
        return "variance_bias", "strength_bias"


def gaussian_logits(
    gaussians: Float[Array, "batch heads query 3"],
    places: tuple[Int[Array, " query"], Int[Array, " query"]],
    grid: Grid,
    *,
    largest_square: float,
) -> Float[Array, "batch heads query patches"]:
    """Computes the logits of Gaussians from queries to all patches, in float32.

    Args:
      gaussians: Strength and inverse variances of every query, see `QueryGaussian.predict`.
      places: Row and column of every query.
      grid: The (height, width) of the patches.
      largest_square: See `QueryGaussian.largest_square`.
    """
    strength, *inverses = jnp.split(gaussians, 3, axis=-1)
    down, across = (
        jnp.exp(-0.5 * inverse * _squares(place, side, largest_square)[None, None])
        for inverse, place, side in zip(inverses, places, grid, strict=True)
    )
    shape = (*down.shape, grid[1])
    logits = jnp.broadcast_to((strength * down)[..., None], shape) * jnp.broadcast_to(across[..., None, :], shape)
    return logits.reshape(*down.shape[:3], -1)


def expand_gaussians(
    gaussians: Float[Array, "batch heads patches 3"], grid: Grid, *, largest_square: float, prefix_tokens: int = 0
) -> Float[Array, "batch heads query key"]:
    """Computes the logits of Gaussians between all tokens, with zeros for prefix tokens, which come first."""
    rows, columns = jnp.divmod(jnp.arange(grid[0] * grid[1], dtype=jnp.int32), grid[1])
    logits = gaussian_logits(gaussians, (rows, columns), grid, largest_square=largest_square)
    return jnp.pad(logits, ((0, 0), (0, 0), (prefix_tokens, 0), (prefix_tokens, 0)))


def _squares(places: Int[Array, " query"], side: int, largest: float) -> Float[Array, "query side"]:
    """Computes the squares of the offsets from queries to all rows, or all columns."""
    offsets = places[:, None] - jnp.arange(side, dtype=jnp.int32)[None]
    return jnp.minimum(jnp.square(offsets.astype(jnp.float32)), jnp.float32(largest))
