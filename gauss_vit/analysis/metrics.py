"""Summary numbers of a receptive field, under the keys of OpenERF.

Source: OpenERF 0.6.1 (github.com/kmbmjn/OpenERF) defines the keys. Distances are from the centre of the image, pixel
(height // 2, width // 2), and not from the target patch, which lies up and left of it on even grids.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

_PAIRS = ("shape", "argmax_yx", "center_yx")
RADII_PX = (5, 10, 20, 30, 40, 60, 80)


@dataclass(frozen=True, kw_only=True)
class ErfMetrics:
    """Metrics of a map whose sum is 1; coordinates are pixel indices from 0.

    Attributes:
      shape: (height, width).
      sum: sum of all values; 1 up to rounding.
      min: smallest value.
      max: largest value.
      argmax_yx: (row, column) of the largest value, the first one in row-major order.
      center_yx: (row, column) of the image's centre.
      center_value: value there.
      com_x: column of the centre of mass.
      com_y: row of the centre of mass.
      radial_cumulative_mass: pairs (radius, share of the map within it); radii are in pixels from `center_yx`.
    """

    shape: tuple[int, int]
    sum: float
    min: float
    max: float
    argmax_yx: tuple[int, int]
    center_yx: tuple[int, int]
    center_value: float
    com_x: float
    com_y: float
    radial_cumulative_mass: tuple[tuple[int, float], ...]

    def to_json(self) -> dict[str, object]:
        """Returns the fields under OpenERF's keys, as JSON values."""
        plain: dict[str, object] = {
            name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()
        }
        return plain | {"radial_cumulative_mass": {str(radius): mass for radius, mass in self.radial_cumulative_mass}}


def erf_metrics(values: Float[np.ndarray, "height width"], *, radii_px: tuple[int, ...] = RADII_PX) -> ErfMetrics:
    """Computes the metrics of a map, divided by its sum first.

    Args:
      values: a receptive field, not negative.
      radii_px: radii of the cumulative mass, in pixels.

    Raises:
      ValueError: the sum is not positive, or a radius is not.
    """
    total = values.sum(dtype=np.float64)
    if not total > 0:
        raise ValueError(f"expected a map with a positive sum, got {total}")
    if min(radii_px, default=1) <= 0:
        raise ValueError(f"expected positive radii in pixels, got {radii_px}")
    density = values.astype(np.float64) / total
    height, width = density.shape
    center = (height // 2, width // 2)
    peak = np.unravel_index(np.argmax(density), density.shape)
    distance = np.hypot(*np.ix_(np.arange(height) - center[0], np.arange(width) - center[1]))
    return ErfMetrics(
        shape=(height, width),
        sum=float(density.sum()),
        min=float(density.min()),
        max=float(density.max()),
        argmax_yx=(int(peak[0]), int(peak[1])),
        center_yx=center,
        center_value=float(density[center]),
        com_x=float(density.sum(axis=0) @ np.arange(width)),
        com_y=float(density.sum(axis=1) @ np.arange(height)),
        radial_cumulative_mass=tuple((radius, float(density[distance <= radius].sum())) for radius in radii_px),
    )
