"""Least-squares fits of a 2-D Gaussian to maps.

The model, its starting values and R squared are those of the paper:

    f(x, y) = amplitude / (2 pi sigma_x sigma_y) * exp(-(x - x_c)^2 / (2 sigma_x^2) - (y - y_c)^2 / (2 sigma_y^2))

with x the column and y the row, both counted from 0, no offset and no rotation, without bounds.

On grids as small as 7 x 7 a search from the paper's starting values may end in a spike narrower than a cell (lmfit's
does as well). So one search starts from the moments of the map and one from the paper's values, and the lower squared
error counts; where the first one already fits well, there is no second. Where the paper's search finds its Gaussian,
both end in the same one.

Bounds are OpenERF's, for maps whose fit would diverge.

Source: Kim et al., BMVC 2023, reference code (lmfit `Model`, least squares); OpenERF 0.6.1, fit.py.
"""

import math
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float, Float64

from gauss_vit.analysis.gaussian_solver import solve

GOOD_FIT = 0.95
"""R squared above which a search from the moments is not repeated from the paper's values."""
POOR_FIT = 0.5
"""R squared below which a Gaussian does not describe a receptive field."""


@dataclass(frozen=True, kw_only=True)
class GaussianFit:
    """A fitted Gaussian; lengths are in cells of the map (pixels of an ERF, patches of a bias).

    Attributes:
      amplitude: the volume under the Gaussian, in units of the map; the peak is `amplitude / (2 pi sigma_x sigma_y)`.
      center_x: column of the centre, from 0.
      center_y: row of the centre, from 0.
      sigma_x: standard deviation along columns, not negative.
      sigma_y: standard deviation along rows, not negative.
      r_squared: 1 - var(residual) / var(map); a constant residual costs nothing.
      converged: whether the steps became negligible within `MAX_STEPS`. Fits of maps without a Gaussian shape diverge
        to huge sigmas; they are reported as they are, with False or a tiny R squared. A constant map, and one
        with fewer than 2 x 2 cells, have no fit: NaN and False.
    """

    amplitude: float
    center_x: float
    center_y: float
    sigma_x: float
    sigma_y: float
    r_squared: float
    converged: bool

    @property
    def objection(self) -> str:
        """Why the fit means nothing for a receptive field; empty where it does.

        A Gaussian narrower than a pixel describes one bright pixel, and one with an R squared below 0.5 leaves out more
        of the field than it describes.
        """
        if not self.converged:
            return "it did not converge"
        if not self.r_squared >= POOR_FIT:
            return f"R2 {self.r_squared:.2f} is below {POOR_FIT}"
        if min(self.sigma_x, self.sigma_y) < 1:
            return f"sigma {min(self.sigma_x, self.sigma_y):.2f} px is less than a pixel"
        return ""

    def to_json(self) -> dict[str, object]:
        """Returns the fields as JSON values; numbers that are not finite become null."""
        return {name: value if math.isfinite(value) else None for name, value in asdict(self).items()}


@dataclass(frozen=True, kw_only=True)
class FitBounds:
    """Bounds of the parameters of a fit.

    Attributes:
      lower: lowest amplitude, center_x, center_y, sigma_x and sigma_y; -inf for no bound.
      upper: highest values of the same; inf for no bound.
    """

    lower: tuple[float, float, float, float, float]
    upper: tuple[float, float, float, float, float]


UNBOUNDED = FitBounds(lower=(-math.inf,) * 5, upper=(math.inf,) * 5)


def image_bounds(height: int, width: int) -> FitBounds:
    """Returns bounds that keep the centre inside the map, the amplitude at least 0 and sigmas positive.

    Source: OpenERF 0.6.1, fit.py.
    """
    return FitBounds(lower=(0.0, 0.0, 0.0, 1e-6, 1e-6), upper=(math.inf, width - 1.0, height - 1.0, math.inf, math.inf))


def fit_receptive_fields(
    maps: Float[np.ndarray, "maps height width"], *, bounds: FitBounds = UNBOUNDED, start: GaussianFit | None = None
) -> tuple[GaussianFit, ...]:
    """Fits a Gaussian to each map, which is divided by its sum first.

    Args:
      maps: receptive fields, not negative.
      bounds: bounds of the parameters; the paper has none.
      start: the only starting values, such as the fit of a similar map, which is some ten times faster.

    Raises:
      ValueError: a map has a value that is not finite, or its sum is not positive.
    """
    exact = np.asarray(maps, np.float64)
    sums = exact.sum(axis=(1, 2), keepdims=True)
    if not (np.isfinite(exact).all() and (sums > 0).all()):
        raise ValueError("expected finite maps with a positive sum; check how they were accumulated")
    return _fits(exact / sums, bounds=bounds, start=start)


def fit_position_rows(rows: Float[np.ndarray, "rows height width"]) -> tuple[GaussianFit, ...]:
    """Fits a Gaussian to each row of a position bias, laid out on the grid of keys, less its minimum.

    The minimum is subtracted because softmax ignores a constant, and the model has none. It biases sigma low: a
    row of a Gaussian with sigma 5 on a 14 x 14 grid reads 4.33.

    Raises:
      ValueError: a value is not finite.
    """
    exact = np.asarray(rows, np.float64)
    if not np.isfinite(exact).all():
        raise ValueError("expected finite rows of logits; a bias with sigma 0 has none")
    return _fits(exact - exact.min(axis=(1, 2), keepdims=True), bounds=UNBOUNDED, start=None)


def gaussian_image(fit: GaussianFit, height: int, width: int) -> Float64[np.ndarray, "height width"]:
    """Evaluates a fitted Gaussian on a grid of cells."""
    across = np.exp(-((np.arange(width) - fit.center_x) ** 2) / (2 * fit.sigma_x**2))
    down = np.exp(-((np.arange(height) - fit.center_y) ** 2) / (2 * fit.sigma_y**2))
    return fit.amplitude / (2 * math.pi * fit.sigma_x * fit.sigma_y) * np.outer(down, across)


def starting_values(height: int, width: int) -> Float64[np.ndarray, "5"]:
    """Returns the paper's starting values: (amplitude, center_x, center_y, sigma_x, sigma_y).

    >>> starting_values(224, 224).round(3).tolist()
    [2.0, 89.2, 89.2, 14.867, 24.778]
    """
    last_x, last_y = width - 1, height - 1
    return np.array([2.0, 0.8 * last_x / 2, 0.8 * last_y / 2, last_x / 10 / 1.5, last_y / 6 / 1.5])


def _fits(
    maps: Float64[np.ndarray, "maps height width"], *, bounds: FitBounds, start: GaussianFit | None
) -> tuple[GaussianFit, ...]:
    if min(maps.shape[1:]) < 2:
        return (_NO_FIT,) * len(maps)
    is_flat = maps.std(axis=(1, 2)) <= 1e-12 * np.abs(maps).max(axis=(1, 2))
    box = np.array([bounds.lower, bounds.upper])
    first = _moments(maps) if start is None else np.broadcast_to(_values(start), (len(maps), 5))
    found = solve(maps, first, box)
    if start is None:
        remaining = np.flatnonzero(~(found.r_squared > GOOD_FIT))
        paper = np.broadcast_to(starting_values(*maps.shape[1:]), (remaining.size, 5))
        found = found.or_better(solve(maps[remaining], paper, box), at=remaining)
    cases = zip(is_flat, found.values, found.r_squared, found.converged, strict=True)
    return tuple(_NO_FIT if flat else _finished(*case) for flat, *case in cases)


def _values(fit: GaussianFit) -> Float64[np.ndarray, "5"]:
    return np.array([fit.amplitude, fit.center_x, fit.center_y, fit.sigma_x, fit.sigma_y])


def _moments(maps: Float64[np.ndarray, "maps height width"]) -> Float64[np.ndarray, "maps 5"]:
    """Computes volume, centre of mass and standard deviations of every map, each deviation at least half a cell."""
    sizes = np.abs(maps)
    center_x, sigma_x = _mean_and_deviation(sizes.sum(axis=1))
    center_y, sigma_y = _mean_and_deviation(sizes.sum(axis=2))
    return np.stack([maps.sum(axis=(1, 2)), center_x, center_y, sigma_x, sigma_y], axis=1)


def _mean_and_deviation(
    profiles: Float64[np.ndarray, "maps cells"],
) -> tuple[Float64[np.ndarray, " maps"], Float64[np.ndarray, " maps"]]:
    cells = np.arange(profiles.shape[1])
    sums = profiles.sum(axis=1, keepdims=True)
    weights = np.where(sums > 0, profiles, 1.0) / np.where(sums > 0, sums, cells.size)
    means = weights @ cells
    deviations = np.sqrt(np.sum(weights * (cells[None, :] - means[:, None]) ** 2, axis=1))
    return means, np.maximum(0.5, deviations)


_NO_FIT = GaussianFit(
    amplitude=math.nan,
    center_x=math.nan,
    center_y=math.nan,
    sigma_x=math.nan,
    sigma_y=math.nan,
    r_squared=math.nan,
    converged=False,
)


def _finished(
    values: Float64[np.ndarray, "5"], r_squared: np.float64 | np.ndarray, converged: np.bool_ | np.ndarray
) -> GaussianFit:
    amplitude, center_x, center_y, sigma_x, sigma_y = values.tolist()
    sign = math.copysign(1.0, sigma_x * sigma_y)
    return GaussianFit(
        amplitude=sign * amplitude,
        center_x=center_x,
        center_y=center_y,
        sigma_x=abs(sigma_x),
        sigma_y=abs(sigma_y),
        r_squared=float(r_squared),
        converged=bool(converged),
    )
