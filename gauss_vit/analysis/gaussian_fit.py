"""Least-squares fits of a 2-D Gaussian to maps: one batched Levenberg-Marquardt in float64.

The model, its starting values and R squared are those of the paper:

    f(x, y) = amplitude / (2 pi sigma_x sigma_y) * exp(-(x - x_c)^2 / (2 sigma_x^2) - (y - y_c)^2 / (2 sigma_y^2))

with x the column and y the row, both counted from 0, no offset and no rotation, without bounds. Because the model is an
outer product, so is each column of its Jacobian; one step costs one product of the residual with a [5, width] matrix.

On grids as small as 7 x 7 a search from the paper's starting values may end in a spike narrower than a cell (lmfit's
does as well), so a second search starts from the moments of the map, and the lower squared error counts. Where the
paper's search finds its Gaussian, both end in the same one.

Source: Kim et al., BMVC 2023, reference code (lmfit `Model`, least squares); damping: H. B. Nielsen, "Damping parameter
in Marquardt's method", IMM-REP-1999-05; scaling: J. J. Moré, "The Levenberg-Marquardt algorithm", 1978.
"""

import math
from dataclasses import asdict, dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float64, PyTree

MAX_STEPS = 300
RELATIVE_TOLERANCE = 1e-10


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
      converged: whether the steps became negligible within `MAX_STEPS`. Maps without a Gaussian shape run away to huge
        sigmas; they are reported as they are, with False or a tiny R squared. A constant map has no fit: NaN and False.
    """

    amplitude: float
    center_x: float
    center_y: float
    sigma_x: float
    sigma_y: float
    r_squared: float
    converged: bool

    def to_json(self) -> dict[str, object]:
        """Gives the fields as JSON values; what is not finite becomes null."""
        return {name: value if math.isfinite(value) else None for name, value in asdict(self).items()}


class _Search(NamedTuple):
    """The state of one search; array shapes: [5], [5], and scalars."""

    values: PyTree
    scale: PyTree
    cost: PyTree
    damping: PyTree
    growth: PyTree
    num_steps: PyTree
    is_done: PyTree


def fit_receptive_fields(maps: Float[np.ndarray, "maps height width"]) -> tuple[GaussianFit, ...]:
    """Fits a Gaussian to each map, which is divided by its sum first.

    Raises:
      ValueError: a map has a value that is not finite, or its sum is not positive.
    """
    exact = np.asarray(maps, np.float64)
    sums = exact.sum(axis=(1, 2), keepdims=True)
    if not (np.isfinite(exact).all() and (sums > 0).all()):
        raise ValueError("expected finite maps with a positive sum; check how they were accumulated")
    return _fits(exact / sums)


def fit_position_rows(rows: Float[np.ndarray, "rows height width"]) -> tuple[GaussianFit, ...]:
    """Fits a Gaussian to each row of a position bias, laid out on the grid of keys, less its minimum.

    The minimum is taken off because softmax ignores a constant, and the model has none. It biases sigma low: a
    row of a Gaussian with sigma 5 on a 14 x 14 grid reads 4.33.

    Raises:
      ValueError: a value is not finite.
    """
    exact = np.asarray(rows, np.float64)
    if not np.isfinite(exact).all():
        raise ValueError("expected finite rows of logits; a bias with sigma 0 has none")
    return _fits(exact - exact.min(axis=(1, 2), keepdims=True))


def gaussian_image(fit: GaussianFit, height: int, width: int) -> Float64[np.ndarray, "height width"]:
    """Draws a fitted Gaussian on a grid of cells."""
    across = np.exp(-((np.arange(width) - fit.center_x) ** 2) / (2 * fit.sigma_x**2))
    down = np.exp(-((np.arange(height) - fit.center_y) ** 2) / (2 * fit.sigma_y**2))
    return fit.amplitude / (2 * math.pi * fit.sigma_x * fit.sigma_y) * np.outer(down, across)


def starting_values(height: int, width: int) -> Float64[np.ndarray, "5"]:
    """Gives the paper's starting values: (amplitude, center_x, center_y, sigma_x, sigma_y).

    >>> starting_values(224, 224).round(3).tolist()
    [2.0, 89.2, 89.2, 14.867, 24.778]
    """
    last_x, last_y = width - 1, height - 1
    return np.array([2.0, 0.8 * last_x / 2, 0.8 * last_y / 2, last_x / 10 / 1.5, last_y / 6 / 1.5])


def _fits(maps: Float64[np.ndarray, "maps height width"]) -> tuple[GaussianFit, ...]:
    if min(maps.shape[1:]) < 2:
        raise ValueError(f"a Gaussian needs a map of at least 2 x 2 cells and got {maps.shape[1:]}")
    is_flat = maps.std(axis=(1, 2)) <= 1e-12 * np.abs(maps).max(axis=(1, 2))
    starts = np.stack([np.stack([starting_values(*one.shape), _moments(one)]) for one in maps])
    with jax.enable_x64(True):
        found = jax.device_get(_search_batch(jnp.asarray(maps), jnp.asarray(starts)))
    return tuple(
        _NO_FIT if flat else _finished(values, r_squared, is_done)
        for flat, values, r_squared, is_done in zip(is_flat, *found, strict=True)
    )


def _moments(image: Float64[np.ndarray, "height width"]) -> Float64[np.ndarray, "5"]:
    """Gives the volume, centre of mass and standard deviations of a map, each at least half a cell."""
    across, down = np.abs(image).sum(axis=0), np.abs(image).sum(axis=1)
    (center_x, sigma_x), (center_y, sigma_y) = _mean_and_deviation(across), _mean_and_deviation(down)
    return np.array([image.sum(), center_x, center_y, sigma_x, sigma_y])


def _mean_and_deviation(profile: Float64[np.ndarray, " cells"]) -> tuple[float, float]:
    cells = np.arange(profile.size)
    weights = profile / profile.sum() if profile.sum() > 0 else np.full(profile.size, 1 / profile.size)
    mean = float(weights @ cells)
    return mean, max(0.5, float(weights @ (cells - mean) ** 2) ** 0.5)


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
    values: Float64[np.ndarray, "5"], r_squared: np.float64 | np.ndarray, is_done: np.bool_ | np.ndarray
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
        converged=bool(is_done),
    )


@jax.jit
def _search_batch(
    maps: Float64[Array, "maps height width"], starts: Float64[Array, "maps starts 5"]
) -> tuple[Float64[Array, "maps 5"], Float64[Array, " maps"], Bool[Array, " maps"]]:
    return jax.vmap(_best_search)(maps, starts)


def _best_search(
    image: Float64[Array, "height width"], starts: Float64[Array, "starts 5"]
) -> tuple[Float64[Array, "5"], Float64[Array, ""], Bool[Array, ""]]:
    """Minimises the squared error from each start; gives the best values, R squared and whether that search ended."""
    # One unit for all maps keeps the damping and the tolerances free of the map's scale.
    deviation = jnp.std(image)
    unit = jnp.where(deviation > 0, deviation, 1.0)
    target = image / unit
    searches = jax.vmap(lambda start: _search(target, start.at[0].divide(unit)))(starts)
    best = jax.tree.map(lambda leaf: leaf[jnp.argmin(searches.cost)], searches)
    r_squared = 1.0 - jnp.var(target - _gaussian(best.values, target)) / jnp.var(target)
    return best.values.at[0].multiply(unit), r_squared, best.is_done


def _search(target: Float64[Array, "height width"], start: Float64[Array, "5"]) -> _Search:
    return jax.lax.while_loop(_goes_on, lambda search: _step(search, target), _begin(start, target))


def _begin(values: Float64[Array, "5"], target: Float64[Array, "height width"]) -> _Search:
    return _Search(
        values=values,
        scale=jnp.zeros((5,), jnp.float64),
        cost=_cost(values, target),
        damping=jnp.asarray(1e-3, jnp.float64),
        growth=jnp.asarray(2.0, jnp.float64),
        num_steps=jnp.asarray(0, jnp.int32),
        is_done=jnp.asarray(False),
    )


def _goes_on(search: _Search) -> Bool[Array, ""]:
    return ~search.is_done & (search.num_steps < MAX_STEPS)


def _step(search: _Search, target: Float64[Array, "height width"]) -> _Search:
    """Takes one damped Gauss-Newton step, or raises the damping where it would not lower the cost."""
    downhill, curvature = _normal_equations(search.values, target)
    scale = jnp.maximum(search.scale, jnp.diag(curvature))
    step = jnp.linalg.solve(curvature + search.damping * jnp.diag(scale), downhill)
    values = search.values + step
    cost = _cost(values, target)
    predicted = step @ (search.damping * scale * step + downhill)
    gain = (search.cost - cost) / predicted
    is_better = cost < search.cost
    is_small = jnp.linalg.norm(jnp.sqrt(scale) * step) <= RELATIVE_TOLERANCE * jnp.linalg.norm(
        jnp.sqrt(scale) * search.values
    )
    shrink = jnp.maximum(1.0 / 3.0, 1.0 - (2.0 * gain - 1.0) ** 3)
    return _Search(
        values=jnp.where(is_better, values, search.values),
        scale=scale,
        cost=jnp.where(is_better, cost, search.cost),
        damping=search.damping * jnp.where(is_better, shrink, search.growth),
        growth=jnp.where(is_better, 2.0, 2.0 * search.growth),
        num_steps=search.num_steps + 1,
        is_done=is_small,
    )


def _factors(
    values: Float64[Array, "5"], height: int, width: int
) -> tuple[Float64[Array, " height"], Float64[Array, " width"], Float64[Array, "5 height"], Float64[Array, "5 width"]]:
    """Factors the model and the columns of its Jacobian as outer products of a function of y and one of x."""
    amplitude, center_x, center_y, sigma_x, sigma_y = values
    x = (jnp.arange(width, dtype=jnp.float64) - center_x) / sigma_x
    y = (jnp.arange(height, dtype=jnp.float64) - center_y) / sigma_y
    across = jnp.exp(-0.5 * x**2)
    down = jnp.exp(-0.5 * y**2) / (2 * math.pi * sigma_x * sigma_y)
    peak = amplitude * down
    columns_y = jnp.stack([down, peak / sigma_x, peak * y / sigma_y, peak / sigma_x, peak * (y**2 - 1) / sigma_y])
    columns_x = jnp.stack([across, across * x, across, across * (x**2 - 1), across])
    return peak, across, columns_y, columns_x


def _gaussian(values: Float64[Array, "5"], target: Float64[Array, "height width"]) -> Float64[Array, "height width"]:
    peak, across, _, _ = _factors(values, *target.shape)
    return jnp.outer(peak, across)


def _cost(values: Float64[Array, "5"], target: Float64[Array, "height width"]) -> Float64[Array, ""]:
    cost = jnp.sum(jnp.square(target - _gaussian(values, target)))
    return jnp.where(jnp.isfinite(cost), cost, jnp.inf)


def _normal_equations(
    values: Float64[Array, "5"], target: Float64[Array, "height width"]
) -> tuple[Float64[Array, "5"], Float64[Array, "5 5"]]:
    """Gives J^T r and J^T J of the model at `values`, where r is what the model lacks."""
    peak, across, columns_y, columns_x = _factors(values, *target.shape)
    residual = target - jnp.outer(peak, across)
    downhill = jnp.sum((columns_y @ residual) * columns_x, axis=1)
    return downhill, (columns_y @ columns_y.T) * (columns_x @ columns_x.T)
