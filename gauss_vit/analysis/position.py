"""Analysis of position biases: offset tables, the row of one patch, and a Gaussian fitted to each layer."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from gauss_vit.analysis.gaussian_fit import GaussianFit, fit_position_rows
from gauss_vit.analysis.token import Token, center_token, check_token
from gauss_vit.ops.grid import Grid, offset_shape
from gauss_vit.position.term import MASKED


@dataclass(frozen=True, kw_only=True)
class LearnedGaussian:
    """The parameters of the Gaussian term of every layer.

    Attributes:
      amplitude: [depth, heads], or [depth, 1] if heads share it; its square is the peak of the bias. Sign is free.
      sigma_y: [depth, heads] or [depth, 1], the standard deviation along rows in patches. Sign is free.
      sigma_x: the same along columns; equal to `sigma_y` for an isotropic term.
    """

    amplitude: Float[np.ndarray, " depth #heads"]
    sigma_y: Float[np.ndarray, " depth #heads"]
    sigma_x: Float[np.ndarray, " depth #heads"]


@dataclass(frozen=True, kw_only=True)
class PositionAnalysis:
    """The position bias of every layer, averaged over its heads.

    Attributes:
      tables: [depth, dy, dx] in logits, over the heads that do not mask an offset; offset (0, 0) is in the middle, and
        offsets are query minus key in patches.
      grid: (height, width) in patches.
      token: patch whose row was fitted.
      fits: Gaussian fitted to that row, layer by layer.
      learned: parameters of the Gaussian term; None if the model has none.
    """

    tables: Float64[np.ndarray, "depth dy dx"]
    grid: Grid
    token: Token
    fits: tuple[GaussianFit, ...]
    learned: LearnedGaussian | None

    @property
    def depth(self) -> int:
        """Number of layers."""
        return self.tables.shape[0]

    def to_json(self) -> dict[str, object]:
        """Returns grid, token and one record for each layer, from 0: the fit and the learned Gaussian, if any."""
        layers = [
            {"layer": index, "fit": fit.to_json()} | _learned_json(self.learned, index)
            for index, fit in enumerate(self.fits)
        ]
        return {"grid": list(self.grid), "token": list(self.token), "layers": layers}


def row_of(
    tables: Float[np.ndarray, "*layers dy dx"], token: Token, *, grid: Grid
) -> Float[np.ndarray, "*layers height width"]:
    """Lays out the bias from one query patch to every key patch on the grid of keys.

    The bias of query i and key j is `table[y_i - y_j + height - 1, x_i - x_j + width - 1]`, so the row is a window of
    the table, reversed along both axes.

    Raises:
      ValueError: the tables do not fit the grid, or the token is outside it.
    """
    if tables.shape[-2:] != offset_shape(grid):
        raise ValueError(f"a grid of {grid} needs tables of {offset_shape(grid)}, got {tables.shape[-2:]}")
    row, column = check_token(token, grid)
    window = tables[..., row : row + grid[0], column : column + grid[1]]
    return window[..., ::-1, ::-1]


def analyse_position(
    tables: Float[np.ndarray, "depth heads dy dx"],
    *,
    grid: Grid,
    token: Token | None = None,
    learned: LearnedGaussian | None = None,
) -> PositionAnalysis:
    """Averages the tables over heads and fits a Gaussian to one patch's row of every layer, minus its minimum.

    A head that masks an offset is left out of its mean.

    Args:
      tables: logits over offsets.
      grid: (height, width) in patches.
      token: query patch of the row; the central one by default.
      learned: parameters of the Gaussian term, kept in the result.

    Raises:
      ValueError: the tables do not fit the grid, or a value is not finite.

    Source: Kim et al., BMVC 2023, figures 5 and 6 and table 1 (there with dropout on; here it is off).
    """
    mean_tables = _mean_of_heads(tables.astype(np.float64))
    target = center_token(grid) if token is None else token
    fits = fit_position_rows(row_of(mean_tables, target, grid=grid))
    return PositionAnalysis(tables=mean_tables, grid=grid, token=target, fits=fits, learned=learned)


def _mean_of_heads(tables: Float64[np.ndarray, "depth heads dy dx"]) -> Float64[np.ndarray, "depth dy dx"]:
    """Averages over the heads that see an offset; one that none sees gets the smallest logit that its layer has."""
    is_seen = tables > MASKED / 2
    if is_seen.all():
        return tables.mean(axis=1)
    num_heads = is_seen.sum(axis=1)
    means = np.where(is_seen, tables, 0).sum(axis=1) / np.maximum(num_heads, 1)
    lowest = np.where(is_seen, tables, np.inf).min(axis=(1, 2, 3))[:, None, None]
    return np.where(num_heads > 0, means, lowest)


def _learned_json(learned: LearnedGaussian | None, index: int) -> dict[str, object]:
    if learned is None:
        return {}
    values = {
        "amplitude": learned.amplitude[index].tolist(),
        "sigma_y": np.abs(learned.sigma_y[index]).tolist(),
        "sigma_x": np.abs(learned.sigma_x[index]).tolist(),
    }
    return {"gaussian": values}
