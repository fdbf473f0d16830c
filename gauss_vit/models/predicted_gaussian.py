"""The Gaussian that an attention layer predicts from its queries."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray

from gauss_vit.ops.grid import Grid
from gauss_vit.position.query_gaussian import QueryGaussian, expand_gaussians, gaussian_logits


class PredictedGaussian(nnx.Module):
    """Holds the parameters of a `QueryGaussian`, by name, and predicts Gaussians."""

    def __init__(self, gaussian: QueryGaussian, *, grid: Grid, channels: int, key: PRNGKeyArray):
        for name, value in gaussian.init(key, channels=channels).items():
            setattr(self, name, nnx.Param(value))
        self.gaussian = gaussian
        self.grid = grid

    @property
    def undecayed(self) -> tuple[str, ...]:
        """Paths below this module of the parameters that are never weight-decayed."""
        return self.gaussian.undecayed

    @property
    def largest_square(self) -> float:
        """The square of an offset that longer ones count as, see `QueryGaussian`."""
        return self.gaussian.largest_square(self.grid)

    def __call__(self, query: Float[Array, "batch query heads channels"]) -> Float[Array, "batch heads query 3"]:
        """Predicts the Gaussians of the queries of patches, see `QueryGaussian.predict`."""
        return self.gaussian.predict(nnx.to_pure_dict(nnx.state(self)), query, self.grid)

    def logits(
        self,
        gaussians: Float[Array, "batch heads query 3"],
        *,
        prefix_tokens: int,
        index: Int[Array, ""] | None = None,
    ) -> Float[Array, "batch heads tokens key"]:
        """Computes the logits of Gaussians between all tokens, or from one token alone where its index is given.

        Args:
          gaussians: Those of all patches, or of the one token.
          prefix_tokens: Number of tokens before the patches, which have no Gaussian.
          index: Index of the token; prefix tokens count.
        """
        grid, square = self.grid, self.largest_square
        if index is None:
            return expand_gaussians(gaussians, grid, largest_square=square, prefix_tokens=prefix_tokens)
        row, column = jnp.divmod(index[None] - prefix_tokens, jnp.asarray(grid[1], index.dtype))
        logits = gaussian_logits(gaussians, (row, column), grid, largest_square=square)
        logits = jnp.where(index < prefix_tokens, jnp.zeros_like(logits), logits)
        return jnp.pad(logits, ((0, 0), (0, 0), (0, 0), (prefix_tokens, 0)))
