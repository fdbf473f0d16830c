"""Similarity of absolute position embeddings: which patches have similar vectors."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from gauss_vit.analysis.gaussian_fit import GaussianFit, fit_position_rows
from gauss_vit.analysis.token import Token, center_token, check_token
from gauss_vit.errors import ConfigError
from gauss_vit.ops.grid import Grid, num_patches

_TINY = 1e-30


@dataclass(frozen=True, kw_only=True)
class EmbeddingAnalysis:
    """The similarity of the position embeddings of all pairs of patches.

    Attributes:
      similarity: [rows, columns, rows, columns], cosines from -1 to 1 between the patch of the first two axes and that
        of the last two.
      token: patch whose map was fitted.
      fit: Gaussian fitted to that map minus its minimum, in patches.
    """

    similarity: Float64[np.ndarray, "rows columns rows columns"]
    token: Token
    fit: GaussianFit

    @property
    def grid(self) -> Grid:
        """(height, width) in patches."""
        return self.similarity.shape[0], self.similarity.shape[1]

    def to_json(self) -> dict[str, object]:
        """Returns grid, token and fit as JSON values."""
        return {"grid": list(self.grid), "token": list(self.token), "fit": self.fit.to_json()}


def similarity_maps(
    embedding: Float[np.ndarray, "tokens channels"], *, grid: Grid
) -> Float64[np.ndarray, "rows columns rows columns"]:
    """Computes the cosine of the vectors of every two patches; a vector of zeros has a cosine of 0 with all.

    Args:
      embedding: vectors of prefix tokens, which are left out, and then of the patches row by row.
      grid: (height, width) in patches.

    Raises:
      ConfigError: there are fewer vectors than patches.

    Source: Dosovitskiy et al., An Image is Worth 16x16 Words (ICLR 2021), figure 7, centre.
    """
    count = num_patches(grid)
    if embedding.shape[0] < count:
        raise ConfigError(f"a grid of {grid} has {count} patches, got {embedding.shape[0]} position embeddings")
    patches = embedding[-count:].astype(np.float64)
    length = np.linalg.norm(patches, axis=1, keepdims=True)
    unit = patches / np.maximum(length, _TINY)
    return (unit @ unit.T).reshape(*grid, *grid)


def analyse_embedding(
    embedding: Float[np.ndarray, "tokens channels"], *, grid: Grid, token: Token | None = None
) -> EmbeddingAnalysis:
    """Computes all similarities and fits a Gaussian to one patch's map, minus its minimum.

    Args:
      embedding: vectors of prefix tokens, which are left out, and then of the patches row by row.
      grid: (height, width) in patches.
      token: patch of the fit; the central one by default.

    Raises:
      ConfigError: there are fewer vectors than patches, or the token is outside the grid.
    """
    target = center_token(grid) if token is None else check_token(token, grid)
    similarity = similarity_maps(embedding, grid=grid)
    (fit,) = fit_position_rows(similarity[target][None])
    return EmbeddingAnalysis(similarity=similarity, token=target, fit=fit)
