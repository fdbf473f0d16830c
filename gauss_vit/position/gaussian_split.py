"""Splits relative position tables into a Gaussian and a rest, so that a trained table initialises the Gaussian.

The fit is linear in all but the width: for a given width, the best amplitude and constant are a projection. So only the
width is searched, on a logarithmic grid that is then refined; unlike general nonlinear fits, it cannot diverge.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gauss_vit.ops.grid import Grid
from gauss_vit.position.term import TermParams
from gauss_vit.position.terms.gaussian import Gaussian

_NARROWEST = 0.3  # patches: a neighbour gets less than 1 % of the peak
_WIDEST = 2.0  # sides of the grid: inside, the Gaussian is a parabola
_NUM_COARSE, _NUM_ROUNDS, _SHRINK = 24, 40, 0.75
# An amplitude of 0 has no gradient and would never change.
_SMALLEST_AMPLITUDE = 0.01

Axes = tuple[Float[np.ndarray, " dy"], Float[np.ndarray, " dx"]]
"""Offsets along rows and columns, in units of the Gaussian."""


@dataclass(frozen=True, kw_only=True)
class GaussianSplit:
    """A Gaussian and a rest that sum to the given tables.

    Attributes:
      params: Parameters `amplitude` and `sigma` of `Gaussian`, stacked over layers on a leading axis.
      residual: Rest, the tables minus the Gaussian, float32 [layers, heads, dy, dx].
    """

    params: Mapping[str, Float[Array, "..."]]
    residual: Float[Array, "layers heads dy dx"]


def split_gaussian(tables: Float[np.ndarray, "layers heads dy dx"], gaussian: Gaussian, *, grid: Grid) -> GaussianSplit:
    """Fits `constant + amplitude^2 exp(-distance^2 / (2 sigma^2))` to tables by least squares; subtracts it.

    The constant stays in the rest; it does not change the softmax. A Gaussian that heads share is fitted to their mean,
    which is the least-squares fit to all of them. If only a negative Gaussian would fit, the amplitude is close to 0.

    Args:
      tables: Logits over offsets, of every layer.
      gaussian: Variant to fit: shared or per head, isotropic or not, and its unit; its initial values are not used.
      grid: The (height, width) of the patches.
    """
    layers = tables.shape[0]
    values = tables.astype(np.float64)
    targets = values if gaussian.per_head else values.mean(axis=1, keepdims=True)
    per_layer = targets.shape[1]
    flat = targets.reshape(-1, *tables.shape[2:])
    sigma = _search(flat, gaussian, grid)
    amplitude = np.sqrt(np.maximum(_strength(flat, sigma[:, None], _axes(gaussian, grid))[:, 0], 0))
    amplitude = np.maximum(amplitude, _SMALLEST_AMPLITUDE).reshape(layers, per_layer)
    sigma = np.moveaxis(sigma.reshape(layers, per_layer, 2), 2, 1)
    params = {
        "amplitude": jnp.asarray(amplitude, jnp.float32),
        "sigma": jnp.asarray(sigma if gaussian.anisotropic else sigma[:, 0], jnp.float32),
    }
    return without_gaussian(jnp.asarray(tables, jnp.float32), gaussian, params, grid=grid)


def without_gaussian(
    tables: Float[Array, "layers heads dy dx"], gaussian: Gaussian, params: TermParams, *, grid: Grid
) -> GaussianSplit:
    """Subtracts a Gaussian that is known from tables.

    Args:
      tables: Logits over offsets, of every layer.
      gaussian: Variant of the Gaussian.
      params: Its parameters, stacked over layers.
      grid: The (height, width) of the patches.
    """
    drawn = jax.vmap(lambda layer: gaussian.table(layer, grid))(dict(params))
    return GaussianSplit(params=params, residual=tables - jnp.broadcast_to(drawn, tables.shape))


def _axes(gaussian: Gaussian, grid: Grid) -> Axes:
    scale = (gaussian.image or grid) if gaussian.unit == "image" else (1, 1)
    rows, columns = (np.arange(1 - size, size, dtype=np.float64) / unit for size, unit in zip(grid, scale, strict=True))
    return rows, columns


def _search(
    targets: Float[np.ndarray, "tables dy dx"], gaussian: Gaussian, grid: Grid
) -> Float[np.ndarray, "tables 2"]:
    """Finds the widths (dy, dx) with which a Gaussian explains most of each table's variance."""
    axes = _axes(gaussian, grid)
    reach = max(float(axis[-1]) for axis in axes) + 1e-9
    step = min(float(axis[-1]) / (axis.size // 2) for axis in axes if axis.size > 1) if max(grid) > 1 else 1.0
    low, high = _NARROWEST * step, max(_WIDEST * reach, 2 * _NARROWEST * step)
    ratio = (high / low) ** (1 / (_NUM_COARSE - 1))
    coarse = low * ratio ** _exponents(_NUM_COARSE, gaussian)
    best = _best(targets, np.broadcast_to(coarse, (targets.shape[0], *coarse.shape)), axes)
    for _ in range(_NUM_ROUNDS):
        around = best[:, None] * ratio ** (_exponents(3, gaussian) - 1)
        best = _best(targets, np.clip(around, low, high), axes)
        ratio = ratio**_SHRINK
    return best


def _exponents(count: int, gaussian: Gaussian) -> Float[np.ndarray, "candidates 2"]:
    """Lists pairs of numbers from 0 to count - 1: all pairs if anisotropic, else pairs of equal numbers."""
    steps = np.arange(count, dtype=np.float64)
    if not gaussian.anisotropic:
        return np.stack([steps, steps], axis=1)
    return np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)


def _best(
    targets: Float[np.ndarray, "tables dy dx"], sigmas: Float[np.ndarray, "tables candidates 2"], axes: Axes
) -> Float[np.ndarray, "tables 2"]:
    """Returns for each table the candidate that explains most of its variance with a non-negative peak."""
    bumps = _bumps(sigmas, axes)
    products = np.einsum("tyx,tcyx->tc", targets, bumps)
    squares = np.sum(np.square(bumps), axis=(2, 3))
    explained = np.square(np.maximum(products, 0)) / np.maximum(squares, 1e-30)
    return np.take_along_axis(sigmas, explained.argmax(axis=1)[:, None, None], axis=1)[:, 0]


def _strength(
    targets: Float[np.ndarray, "tables dy dx"], sigmas: Float[np.ndarray, "tables candidates 2"], axes: Axes
) -> Float[np.ndarray, "tables candidates"]:
    """Computes the height of a Gaussian in the least-squares fit of a Gaussian plus a constant."""
    bumps = _bumps(sigmas, axes)
    products = np.einsum("tyx,tcyx->tc", targets, bumps)
    return products / np.maximum(np.sum(np.square(bumps), axis=(2, 3)), 1e-30)


def _bumps(
    sigmas: Float[np.ndarray, "tables candidates 2"], axes: Axes
) -> Float[np.ndarray, "tables candidates dy dx"]:
    """Computes Gaussians of height 1 minus their mean, so that the constant of the fit drops out."""
    rows, columns = (np.exp(-np.square(axis / sigmas[..., index, None]) / 2) for index, axis in enumerate(axes))
    drawn = rows[..., :, None] * columns[..., None, :]
    return drawn - drawn.mean(axis=(2, 3), keepdims=True)
