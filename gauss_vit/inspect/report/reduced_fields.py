"""Receptive fields reduced to what the page shows: coarser maps, and numbers of the full resolution."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from gauss_vit.analysis.erf import ErfMap
from gauss_vit.analysis.gaussian_fit import GaussianFit
from gauss_vit.analysis.summary import half_mass_radius
from gauss_vit.analysis.token import patch_center
from gauss_vit.inspect.report.packing import block_means, compand, pack_maps
from gauss_vit.ops.grid import Grid

NUMBERS = ("sigma_x", "sigma_y", "r_squared", "shift_x", "shift_y", "half_mass_radius")
MOST_END_BYTES = 2_000_000
MOST_MIDDLE_BYTES = 2_000_000


@dataclass(frozen=True, kw_only=True)
class ReportField:
    """The receptive fields of all patches after one layer.

    Attributes:
      maps: means over equal blocks of pixels, in 1e-6 of a field's sum per pixel.
      numbers: `NUMBERS` of every patch's field at full resolution, in that order, lengths in pixels. Where a Gaussian
        does not describe the field, sigma and shift are NaN, and R squared as well if the fit did not converge.
    """

    maps: Float32[np.ndarray, "patches rows columns"]
    numbers: Float64[np.ndarray, "numbers patches"]


def report_field(fields: tuple[ErfMap, ...], fits: tuple[GaussianFit, ...], *, shape: Grid) -> ReportField:
    """Reduces the receptive fields of all patches.

    Args:
      fields: one for each patch, row by row.
      fits: the Gaussians fitted to them.
      shape: (rows, columns) of the reduced maps; divides the image size.
    """
    means = np.stack([block_means(field.values, shape) for field in fields])
    numbers = np.array([_numbers(field, fit) for field, fit in zip(fields, fits, strict=True)])
    return ReportField(maps=(means * 1e6).astype(np.float32), numbers=numbers.T)


def field_document(field: ReportField) -> dict[str, object]:
    """Packs the maps and lists the numbers by name, rounded to five digits."""
    listed = {
        name: [_number(value) for value in row.tolist()] for name, row in zip(NUMBERS, field.numbers, strict=True)
    }
    return pack_maps(compand(field.maps)) | {"numbers": listed}


def end_shape(image_size: Grid, grid: Grid) -> Grid:
    """Computes (rows, columns) of the maps at the end of the trunk: the finest that fit, a whole number to a patch.

    >>> end_shape((224, 224), (14, 14)), end_shape((384, 384), (24, 24))
    ((56, 56), (48, 48))
    """
    return _finest(image_size, grid, MOST_END_BYTES) or grid


def middle_shape(image_size: Grid, grid: Grid, num_layers: int) -> Grid | None:
    """Computes (rows, columns) of the maps of earlier layers: no finer than at the end, at worst one to 2 x 2 patches.

    Args:
      image_size: (height, width) in pixels.
      grid: (height, width) in patches.
      num_layers: number of layers that have to fit.

    Returns:
      None if there are no layers, or they do not fit.

    >>> middle_shape((224, 224), (14, 14), 11), middle_shape((384, 384), (24, 24), 11), middle_shape((8, 8), (2, 2), 0)
    ((28, 28), (12, 12), None)
    """
    if num_layers == 0:
        return None
    most_bytes = MOST_MIDDLE_BYTES // num_layers
    shape = _finest(image_size, grid, most_bytes)
    if shape is not None:
        return min(shape, end_shape(image_size, grid))
    halves = (grid[0] // 2, grid[1] // 2)
    is_even = grid[0] % 2 == grid[1] % 2 == 0
    return halves if is_even and _num_codes(grid, halves) <= most_bytes else None


def _finest(image_size: Grid, grid: Grid, most_bytes: int) -> Grid | None:
    """Computes the finest even division of a patch's sides with which the fields of all patches fit."""
    side = math.gcd(image_size[0] // grid[0], image_size[1] // grid[1])
    shapes = [(grid[0] * cells, grid[1] * cells) for cells in range(1, side + 1) if side % cells == 0]
    return max((shape for shape in shapes if _num_codes(grid, shape) <= most_bytes), default=None)


def _num_codes(grid: Grid, shape: Grid) -> int:
    return grid[0] * grid[1] * shape[0] * shape[1]


def _numbers(field: ErfMap, fit: GaussianFit) -> tuple[float, ...]:
    target = patch_center(field.token, grid=field.grid, image_size=field.values.shape)
    radius = half_mass_radius(field.values, target)
    if fit.objection:
        r_squared = fit.r_squared if fit.converged else math.nan
        return (math.nan, math.nan, r_squared, math.nan, math.nan, radius)
    return (fit.sigma_x, fit.sigma_y, fit.r_squared, fit.center_x - target[1], fit.center_y - target[0], radius)


def _number(value: float) -> float | None:
    return float(f"{value:.5g}") if math.isfinite(value) else None
