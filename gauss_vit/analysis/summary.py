"""Where the mass of a receptive field lies relative to the target patch: radial profile, half-mass radius, shift, and
RepLKNet's area ratios.

Radii are in pixels from the centre of the target patch, unlike OpenERF's in `analysis.metrics`, which start at the
centre of the image: on a 14 x 14 grid these two are 12 px apart, more than the width of many fields.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from gauss_vit.analysis.erf import ErfMap
from gauss_vit.analysis.gaussian_fit import GaussianFit
from gauss_vit.analysis.metrics import RADII_PX
from gauss_vit.analysis.token import patch_center

AREA_THRESHOLDS = (0.2, 0.3, 0.5, 0.99)


@dataclass(frozen=True, kw_only=True)
class AreaRatio:
    """The smallest centred square that holds more than a share of the scores.

    Attributes:
      threshold: share of the scores.
      side_px: side of the square; None if even the largest one holds less.
      ratio: area of the square divided by that of the image; None if `side_px` is.
    """

    threshold: float
    side_px: int | None
    ratio: float | None


@dataclass(frozen=True, kw_only=True)
class ErfSummary:
    """Numbers of a receptive field relative to its target patch; lengths in pixels.

    Attributes:
      target_yx: centre of the target patch.
      half_mass_radius: radius of the disc around it that holds half of the mass.
      radial_mass: pairs (radius, share of the mass within it).
      mass_shift_yx: offset of the centre of mass from the target.
      fit_shift_yx: offset of the centre of the fitted Gaussian from the target; None if the fit did not converge.
      area_ratios: area ratios of the protocol's scores, around the centre of the image.
    """

    target_yx: tuple[float, float]
    half_mass_radius: float
    radial_mass: tuple[tuple[int, float], ...]
    mass_shift_yx: tuple[float, float]
    fit_shift_yx: tuple[float, float] | None
    area_ratios: tuple[AreaRatio, ...]

    def to_json(self) -> dict[str, object]:
        """Returns the fields as JSON values."""
        return {
            "target_yx": list(self.target_yx),
            "half_mass_radius": self.half_mass_radius,
            "radial_mass": {str(radius): mass for radius, mass in self.radial_mass},
            "mass_shift_yx": list(self.mass_shift_yx),
            "fit_shift_yx": None if self.fit_shift_yx is None else list(self.fit_shift_yx),
            "area_ratios": {
                str(area.threshold): {"side_px": area.side_px, "ratio": area.ratio} for area in self.area_ratios
            },
        }


def summarize(erf: ErfMap, fit: GaussianFit) -> ErfSummary:
    """Computes the summary of a receptive field and the Gaussian fitted to it."""
    target = patch_center(erf.token, grid=erf.grid, image_size=erf.values.shape)
    mass = radial_mass(erf.values, target, radii_px=np.array(RADII_PX, np.float64))
    rows, columns = (np.arange(side) for side in erf.values.shape)
    shift_y = float(erf.values.sum(axis=1) @ rows - target[0])
    shift_x = float(erf.values.sum(axis=0) @ columns - target[1])
    scores = erf.protocol.scores(erf.magnitude * erf.values)
    return ErfSummary(
        target_yx=target,
        half_mass_radius=half_mass_radius(erf.values, target),
        radial_mass=tuple(zip(RADII_PX, mass.tolist(), strict=True)),
        mass_shift_yx=(shift_y, shift_x),
        fit_shift_yx=(fit.center_y - target[0], fit.center_x - target[1]) if fit.converged else None,
        area_ratios=tuple(area_ratio(scores, threshold) for threshold in AREA_THRESHOLDS),
    )


def distances(shape: tuple[int, ...], center_yx: tuple[float, float]) -> Float64[np.ndarray, "height width"]:
    """Computes the distance of every pixel centre of a (height, width) image from a point, in pixels."""
    return np.hypot(*np.ix_(np.arange(shape[0]) - center_yx[0], np.arange(shape[1]) - center_yx[1]))


def profile_radii(shape: tuple[int, ...], center_yx: tuple[float, float]) -> Float64[np.ndarray, " radii"]:
    """Returns integer radii from 0 to the farthest pixel of a (height, width) image, for a radial profile."""
    return np.arange(math.ceil(distances(shape, center_yx).max()) + 1, dtype=np.float64)


def radial_mass(
    values: Float[np.ndarray, "height width"],
    center_yx: tuple[float, float],
    *,
    radii_px: Float64[np.ndarray, " radii"],
) -> Float64[np.ndarray, " radii"]:
    """Computes the share of a map's sum within each radius; a pixel is inside if its centre is."""
    mass, distance = _by_distance(values, center_yx)
    inside = np.searchsorted(distance, radii_px, side="right")
    return np.concatenate([np.zeros(1), mass])[inside]


def half_mass_radius(values: Float[np.ndarray, "height width"], center_yx: tuple[float, float]) -> float:
    """Computes the radius of the smallest disc of whole pixels that holds half of a map's sum."""
    mass, distance = _by_distance(values, center_yx)
    return float(distance[np.searchsorted(mass, 0.5 * mass[-1])])


def area_ratio(scores: Float[np.ndarray, "height width"], threshold: float) -> AreaRatio:
    """Finds the smallest square around pixel (height // 2, width // 2) that holds more than a share of the scores.

    Sides are 3, 5, ... up to the height. A square that extends beyond the image is cropped, but its whole area counts.

    Source: Ding et al., CVPR 2022, table 10; erf/analyze_erf.py (`get_rectangle`) of RepLKNet-pytorch.

    >>> area_ratio(np.ones((100, 100)), 0.2)
    AreaRatio(threshold=0.2, side_px=45, ratio=0.2025)
    """
    height, width = scores.shape
    total = scores.sum(dtype=np.float64)
    for half in range(1, height // 2):
        top, left = max(0, height // 2 - half), max(0, width // 2 - half)
        square = scores[top : height // 2 + half + 1, left : width // 2 + half + 1]
        if square.sum(dtype=np.float64) > threshold * total:
            side = 2 * half + 1
            return AreaRatio(threshold=threshold, side_px=side, ratio=side * side / (height * width))
    return AreaRatio(threshold=threshold, side_px=None, ratio=None)


def _by_distance(
    values: Float[np.ndarray, "height width"], center_yx: tuple[float, float]
) -> tuple[Float64[np.ndarray, " pixels"], Float64[np.ndarray, " pixels"]]:
    """Sorts pixels by distance; returns the cumulative share of the sum and the distances."""
    distance = distances(values.shape, center_yx).ravel()
    order = np.argsort(distance, kind="stable")
    mass = np.cumsum(values.ravel()[order], dtype=np.float64)
    return mass / mass[-1], distance[order]
