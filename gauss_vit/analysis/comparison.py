"""The difference of two receptive fields: how much of the mass moved, and where."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from gauss_vit.errors import ConfigError
from gauss_vit.ops.grid import Grid


@dataclass(frozen=True, kw_only=True)
class MeasuredField:
    """A receptive field as read from a result file.

    Attributes:
      title: name of the model.
      values: float64 [height, width], with sum 1.
      token: (row, column) of the target.
      grid: (height, width) of the feature map.
      protocol: name of the protocol.
      num_images: number of images that are averaged.
      radii_px: radii around the target.
      radial_mass: share of the mass within each radius.
      radial_band: [2, radii], confidence band of `radial_mass`; None if there is none.
    """

    title: str
    values: Float64[np.ndarray, "height width"]
    token: tuple[int, int]
    grid: Grid
    protocol: str
    num_images: int
    radii_px: Float64[np.ndarray, " radii"]
    radial_mass: Float64[np.ndarray, " radii"]
    radial_band: Float64[np.ndarray, "2 radii"] | None


@dataclass(frozen=True, kw_only=True)
class FieldDifference:
    """The difference between a receptive field and a reference.

    Attributes:
      moved_mass: half of the sum of absolute differences: the share of the mass that moved, 0 to 1.
      correlation: Pearson's correlation over pixels.
      by_patch: float64 [rows, columns], difference of the mass in each patch of the reference's grid.
    """

    moved_mass: float
    correlation: float
    by_patch: Float64[np.ndarray, "rows columns"]


def difference(field: MeasuredField, reference: MeasuredField) -> FieldDifference:
    """Compares two receptive fields.

    Raises:
      ConfigError: their images have different sizes.
    """
    if field.values.shape != reference.values.shape:
        raise ConfigError(
            f"{field.title} has {field.values.shape} pixels and {reference.title} has {reference.values.shape}",
            do="compare fields of one image size",
        )
    change = field.values - reference.values
    return FieldDifference(
        moved_mass=float(np.abs(change).sum() / 2),
        correlation=float(np.corrcoef(field.values.ravel(), reference.values.ravel())[0, 1]),
        by_patch=patch_sums(change, reference.grid),
    )


def patch_sums(values: Float[np.ndarray, "height width"], grid: Grid) -> Float[np.ndarray, "rows columns"]:
    """Sums a map over the patches of a grid; a pixel on the border of two patches belongs to the second."""
    row_starts = np.arange(grid[0]) * values.shape[0] // grid[0]
    column_starts = np.arange(grid[1]) * values.shape[1] // grid[1]
    return np.add.reduceat(np.add.reduceat(values, row_starts, axis=0), column_starts, axis=1)
