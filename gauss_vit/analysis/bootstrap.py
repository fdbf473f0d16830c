"""Confidence bands of a receptive field: how its numbers vary with the choice of images.

Images were assigned to groups in turn while they were summed (`ErfSum.groups`); with at most as many images as groups,
each group is an image. A draw takes as many groups as there are, with replacement, and every number is computed again
from the sum of the drawn maps. The middle 95 % of the draws are the band (percentile bootstrap; of clusters if there
are more images than groups, which estimates the same variance with a few per cent of noise for 64 groups). R squared
has no band: a draw repeats images and is noisier than the whole, so that its R squared is always lower.

The draws are a hash of their index, so that bands are reproducible on every machine, whatever was computed before.
Draws are fitted in micro-batches: the memory is that of the groups and of one micro-batch.

Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13; splitmix64: Steele, Lea, Flood,
"Fast Splittable Pseudorandom Number Generators", OOPSLA 2014.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from gauss_vit.analysis.erf import ErfMap, ErfSum
from gauss_vit.analysis.gaussian_fit import UNBOUNDED, FitBounds, GaussianFit, fit_receptive_fields
from gauss_vit.analysis.metrics import RADII_PX
from gauss_vit.analysis.summary import half_mass_radius, profile_radii, radial_mass
from gauss_vit.analysis.token import patch_center

NUM_GROUPS = 64
FEWEST_GROUPS = 10
"""With fewer, an interval of 95 % holds the true value clearly less often: of two images in half of all cases."""
NUM_DRAWS = 200
LEVEL = 0.95
_BATCH_SIZE = 25


class Band(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class ErfBands:
    """Confidence bands of the numbers of one receptive field.

    Attributes:
      level: share of the draws inside a band.
      num_draws: number of draws.
      num_groups: number of groups of images.
      sigma_x: band of the fitted sigma along columns, in pixels; None, as the next, if the fit of the map itself did
        not converge.
      sigma_y: band of the fitted sigma along rows, in pixels.
      half_mass_radius: band of the radius, in pixels from the target.
      radii_px: integer radii, from 0 to the farthest pixel.
      profile: [2, radii], low and high share of the mass within each radius.
    """

    level: float
    num_draws: int
    num_groups: int
    sigma_x: Band | None
    sigma_y: Band | None
    half_mass_radius: Band
    radii_px: Float64[np.ndarray, " radii"]
    profile: Float64[np.ndarray, "2 radii"]

    def to_json(self) -> dict[str, object]:
        """Returns the bands as JSON values, with the profile at a few radii."""
        at = [radius for radius in RADII_PX if radius < self.radii_px.size]
        fitted = {name: vars(self)[name] for name in ("sigma_x", "sigma_y")}
        return {
            "level": self.level,
            "num_draws": self.num_draws,
            "num_groups": self.num_groups,
            **{name: None if band is None else list(band) for name, band in fitted.items()},
            "half_mass_radius": list(self.half_mass_radius),
            "radial_mass": {str(radius): self.profile[:, radius].tolist() for radius in at},
        }


def confidence_bands(
    total: ErfSum, result: ErfMap, fit: GaussianFit, *, bounds: FitBounds = UNBOUNDED
) -> ErfBands | None:
    """Computes the bands of one token's map.

    Args:
      total: the sum with its groups.
      result: the map of one of its tokens.
      fit: the Gaussian fitted to that map, from which the fits of the draws start.
      bounds: bounds of the fit.

    Returns:
      The bands, or None if there are no groups or fewer than `FEWEST_GROUPS` of them have images.
    """
    if total.groups is None:
        return None
    groups = total.groups[:, total.tokens.index(result.token)]
    groups = groups[groups.any(axis=(1, 2))]
    if len(groups) < FEWEST_GROUPS:
        return None
    target = patch_center(result.token, grid=result.grid, image_size=result.values.shape)
    radii = profile_radii(result.values.shape, target)
    counts = drawn_counts(NUM_DRAWS, len(groups))
    fits, half_radii, profiles = [], [], []
    for start in range(0, NUM_DRAWS, _BATCH_SIZE):
        maps = np.tensordot(counts[start : start + _BATCH_SIZE].astype(np.float64), groups, axes=1)
        fits += fit_receptive_fields(maps, bounds=bounds, start=fit) if fit.converged else ()
        half_radii += [half_mass_radius(values, target) for values in maps]
        profiles += [radial_mass(values, target, radii_px=radii) for values in maps]
    return ErfBands(
        level=LEVEL,
        num_draws=NUM_DRAWS,
        num_groups=len(groups),
        sigma_x=_fit_band([one.sigma_x for one in fits]),
        sigma_y=_fit_band([one.sigma_y for one in fits]),
        half_mass_radius=_band(np.array(half_radii)),
        radii_px=radii,
        profile=np.quantile(np.array(profiles), _ends(), axis=0),
    )


def drawn_counts(num_draws: int, num_groups: int, *, first: int = 0) -> Int64[np.ndarray, "draws groups"]:
    """Counts how often each group is taken in each draw; every row sums to the number of groups.

    Args:
      num_draws: number of draws to return.
      num_groups: number of groups that are drawn from.
      first: index of the first of these draws, so that many can be made a part at a time.
    """
    places = np.arange(first * num_groups, (first + num_draws) * num_groups, dtype=np.uint64)
    taken = (_hash(places) >> np.uint64(32)) * np.uint64(num_groups) >> np.uint64(32)
    rows = taken.astype(np.int64).reshape(num_draws, num_groups)
    return np.stack([np.bincount(row, minlength=num_groups) for row in rows]).astype(np.int64)


def _hash(places: np.ndarray) -> np.ndarray:
    """Computes splitmix64 from seed 0 at given indices."""
    words = (places + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def _ends() -> tuple[float, float]:
    return (1 - LEVEL) / 2, (1 + LEVEL) / 2


def _fit_band(draws: list[float]) -> Band | None:
    return _band(np.array(draws)) if draws else None


def _band(draws: Float64[np.ndarray, " draws"]) -> Band:
    low, high = np.quantile(draws, _ends())
    return Band(float(low), float(high))
