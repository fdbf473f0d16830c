"""A batched Levenberg-Marquardt solver for 2-D Gaussians, in float64.

Because the model is an outer product, so is each column of its Jacobian; one step costs one product of the residual
with a [5, width] matrix. A parameter at its bound is held there while the error falls beyond it; the others are solved
for as without bounds.

Maps are solved in micro-batches that fit a processor's cache. One map that needs many steps holds up its micro-batch,
so the steps are few at first, and the maps that have not converged are solved again, together, with as many steps as
they need. A micro-batch has one of few sizes, so that one shape of maps compiles a few times at most.

Source: damping: H. B. Nielsen, "Damping parameter in Marquardt's method", IMM-REP-1999-05; scaling: J. J. Moré, "The
Levenberg-Marquardt algorithm", 1978.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float64, Int, PyTree

FEW_STEPS = 20
MAX_STEPS = 300
RELATIVE_TOLERANCE = 1e-10
_BATCH_SIZES = (1, 8, 64)


@dataclass(frozen=True, kw_only=True)
class Solution:
    """Fitted parameters of some maps.

    Attributes:
      values: float64 [maps, 5]: amplitude, center_x, center_y, sigma_x, sigma_y.
      r_squared: float64 [maps].
      converged: bool [maps], whether the steps became negligible.
    """

    values: Float64[np.ndarray, "maps 5"]
    r_squared: Float64[np.ndarray, " maps"]
    converged: Bool[np.ndarray, " maps"]

    def replaced(self, other: "Solution", *, at: Int[np.ndarray, " others"]) -> "Solution":
        """Replaces the solutions at some indices."""
        values, r_squared, converged = self.values.copy(), self.r_squared.copy(), self.converged.copy()
        values[at], r_squared[at], converged[at] = other.values, other.r_squared, other.converged
        return Solution(values=values, r_squared=r_squared, converged=converged)

    def or_better(self, other: "Solution", *, at: Int[np.ndarray, " others"]) -> "Solution":
        """Replaces the solutions at some indices where the others have a larger R squared."""
        is_better = ~(self.r_squared[at] >= other.r_squared)
        better = Solution(
            values=other.values[is_better], r_squared=other.r_squared[is_better], converged=other.converged[is_better]
        )
        return self.replaced(better, at=at[is_better])


class _Search(NamedTuple):
    """The state of one search; array shapes: [5], [5], [5, 5], [5], and scalars."""

    values: PyTree
    downhill: PyTree
    curvature: PyTree
    scale: PyTree
    cost: PyTree
    damping: PyTree
    growth: PyTree
    num_steps: PyTree
    is_done: PyTree


def solve(
    maps: Float64[np.ndarray, "maps height width"],
    starts: Float64[np.ndarray, "maps 5"],
    box: Float64[np.ndarray, "2 5"],
) -> Solution:
    """Minimises the squared error of every map from its starting values.

    Args:
      maps: finite values.
      starts: starting values of amplitude, center_x, center_y, sigma_x, sigma_y.
      box: lowest and highest values of these.
    """
    inside = np.clip(starts, box[0], box[1])
    found = _in_microbatches(maps, inside, box, num_steps=FEW_STEPS)
    late = np.flatnonzero(~found.converged)
    return found.replaced(_in_microbatches(maps[late], inside[late], box, num_steps=MAX_STEPS), at=late)


def _in_microbatches(
    maps: Float64[np.ndarray, "maps height width"],
    starts: Float64[np.ndarray, "maps 5"],
    box: Float64[np.ndarray, "2 5"],
    *,
    num_steps: int,
) -> Solution:
    size = next((size for size in _BATCH_SIZES if size >= len(maps)), _BATCH_SIZES[-1])
    microbatches = [slice(first, first + size) for first in range(0, len(maps), size)]
    with jax.enable_x64(True):
        # All micro-batches are dispatched before the first result is waited for.
        running = [
            _solve_microbatch(_filled(maps[part], size), _filled(starts[part], size), box, np.int32(num_steps))
            for part in microbatches
        ]
        results = jax.device_get(running)
    values, r_squared, converged = (
        np.concatenate([np.zeros((0, 5) if index == 0 else 0, kind), *(result[index] for result in results)])
        for index, kind in enumerate((np.float64, np.float64, np.bool_))
    )
    return Solution(values=values[: len(maps)], r_squared=r_squared[: len(maps)], converged=converged[: len(maps)])


def _filled(rows: Float64[np.ndarray, "rows ..."], size: int) -> Float64[np.ndarray, "size ..."]:
    """Repeats the last row until there are `size`."""
    return rows if len(rows) == size else np.concatenate([rows, np.repeat(rows[-1:], size - len(rows), axis=0)])


@jax.jit
def _solve_microbatch(
    maps: Float64[Array, "maps height width"],
    starts: Float64[Array, "maps 5"],
    box: Float64[Array, "2 5"],
    max_steps: Int[Array, ""],
) -> tuple[Float64[Array, "maps 5"], Float64[Array, " maps"], Bool[Array, " maps"]]:
    return jax.vmap(_solve_map, in_axes=(0, 0, None, None))(maps, starts, box, max_steps)


def _solve_map(
    image: Float64[Array, "height width"],
    start: Float64[Array, "5"],
    box: Float64[Array, "2 5"],
    max_steps: Int[Array, ""],
) -> tuple[Float64[Array, "5"], Float64[Array, ""], Bool[Array, ""]]:
    """Minimises the squared error of one map; returns the values, R squared, and whether it converged."""
    # In units of its standard deviation, damping and tolerances do not depend on the map's scale.
    deviation = jnp.std(image)
    unit = jnp.where(deviation > 0, deviation, 1.0)
    target, box = image / unit, box.at[:, 0].divide(unit)
    found = jax.lax.while_loop(
        lambda state: ~state.is_done & (state.num_steps < max_steps),
        lambda state: _step(state, target, box),
        _initial(start.at[0].divide(unit), target),
    )
    r_squared = 1.0 - jnp.var(target - _gaussian(found.values, target)) / jnp.var(target)
    return found.values.at[0].multiply(unit), r_squared, found.is_done


def _initial(values: Float64[Array, "5"], target: Float64[Array, "height width"]) -> _Search:
    cost, downhill, curvature = _normal_equations(values, target)
    return _Search(
        values=values,
        downhill=downhill,
        curvature=curvature,
        scale=jnp.zeros((5,), jnp.float64),
        cost=cost,
        damping=jnp.asarray(1e-3, jnp.float64),
        growth=jnp.asarray(2.0, jnp.float64),
        num_steps=jnp.asarray(0, jnp.int32),
        is_done=jnp.asarray(False),
    )


def _step(state: _Search, target: Float64[Array, "height width"], box: Float64[Array, "2 5"]) -> _Search:
    """Takes one damped Gauss-Newton step inside the box, or raises the damping if that would not lower the cost."""
    downhill, curvature = _without_bounded(box, state)
    scale = jnp.maximum(state.scale, jnp.diag(curvature))
    step = _eliminate(curvature + state.damping * jnp.diag(scale), downhill)
    values = jnp.clip(state.values + step, box[0], box[1])
    cost, next_downhill, next_curvature = _normal_equations(values, target)
    predicted = jnp.sum(step * (state.damping * scale * step + downhill))
    gain = (state.cost - cost) / predicted
    is_better = cost < state.cost
    moved, length = (jnp.sum(scale * jnp.square(value)) for value in (values - state.values, state.values))
    shrink = jnp.maximum(1.0 / 3.0, 1.0 - (2.0 * gain - 1.0) ** 3)
    return _Search(
        values=jnp.where(is_better, values, state.values),
        downhill=jnp.where(is_better, next_downhill, state.downhill),
        curvature=jnp.where(is_better, next_curvature, state.curvature),
        scale=scale,
        cost=jnp.where(is_better, cost, state.cost),
        damping=state.damping * jnp.where(is_better, shrink, state.growth),
        growth=jnp.where(is_better, 2.0, 2.0 * state.growth),
        num_steps=state.num_steps + 1,
        is_done=moved <= RELATIVE_TOLERANCE**2 * length,
    )


def _without_bounded(box: Float64[Array, "2 5"], state: _Search) -> tuple[Float64[Array, "5"], Float64[Array, "5 5"]]:
    """Removes from the normal equations the parameters that are at a bound and would cross it."""
    is_held = ((state.values <= box[0]) & (state.downhill < 0)) | ((state.values >= box[1]) & (state.downhill > 0))
    is_coupled = ~(is_held[:, None] | is_held[None, :]) | jnp.eye(5, dtype=jnp.bool_)
    return jnp.where(is_held, 0.0, state.downhill), jnp.where(is_coupled, state.curvature, 0.0)


def _eliminate(matrix: Float64[Array, "5 5"], vector: Float64[Array, "5"]) -> Float64[Array, "5"]:
    """Solves a positive definite system by elimination, written out: library calls would take maps one by one."""
    rows = [jnp.append(matrix[index], vector[index]) for index in range(5)]
    for pivot in range(5):
        for index in range(pivot + 1, 5):
            rows[index] = rows[index] - rows[pivot] * (rows[index][pivot] / rows[pivot][pivot])
    solution: list[Float64[Array, ""]] = []
    for index in reversed(range(5)):
        known = sum((rows[index][4 - place] * value for place, value in enumerate(solution)), jnp.float64(0))
        solution.append((rows[index][5] - known) / rows[index][index])
    return jnp.stack(solution[::-1])


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


def _normal_equations(
    values: Float64[Array, "5"], target: Float64[Array, "height width"]
) -> tuple[Float64[Array, ""], Float64[Array, "5"], Float64[Array, "5 5"]]:
    """Returns r^T r, J^T r and J^T J of the model at `values`, where r is the map minus the model."""
    peak, across, columns_y, columns_x = _factors(values, *target.shape)
    residual = target - peak[:, None] * across[None, :]
    cost = jnp.sum(jnp.square(residual))
    downhill = jnp.sum((columns_y @ residual) * columns_x, axis=1)
    curvature = _products(columns_y) * _products(columns_x)
    return jnp.where(jnp.isfinite(cost), cost, jnp.inf), downhill, curvature


def _products(columns: Float64[Array, "5 cells"]) -> Float64[Array, "5 5"]:
    return jnp.sum(columns[:, None, :] * columns[None, :, :], axis=-1)
