"""Means over seeds with Student's t intervals, and intervals over test images by the bootstrap.

The two answer different questions. The t interval says where the mean of all seeds lies that might have been drawn, if
single results are normal; the test images are fixed. The bootstrap says how the numbers of these very runs would vary
with other images of the same kind; the seeds are fixed.

Differences between two arms are taken within a seed, which decides what both see and in what order. Draws of images are
a hash of their index and all sums of correct images are integers, so that intervals have the same bits everywhere.

Source: Student, "The probable error of a mean", Biometrika 6, 1908; Efron and Tibshirani, "An Introduction to the
Bootstrap", 1993, chapter 13.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64
from scipy.special import stdtrit

from gauss_vit.analysis.bootstrap import LEVEL, Band, drawn_counts

NUM_IMAGE_DRAWS = 2000
_PLACES_AT_ONCE = 2_000_000


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The mean of some results.

    Attributes:
      mean: arithmetic mean.
      num: number of results.
      deviation: standard deviation, with num - 1 in the divisor; None for a single result.
      interval: Student's t interval of the mean at `LEVEL`; None for a single result.
    """

    mean: float
    num: int
    deviation: float | None
    interval: Band | None


def estimate(values: Sequence[float]) -> Estimate:
    """Estimates the mean of independent results.

    >>> estimate([0.25, 0.75]).mean
    0.5

    Raises:
      ValueError: there are no results.
    """
    num = len(values)
    if num == 0:
        raise ValueError("the mean of no results is not defined")
    mean = math.fsum(values) / num
    if num == 1:
        return Estimate(mean=mean, num=1, deviation=None, interval=None)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (num - 1))
    half = student_quantile((1 + LEVEL) / 2, degrees=num - 1) * deviation / math.sqrt(num)
    return Estimate(mean=mean, num=num, deviation=deviation, interval=Band(mean - half, mean + half))


def within_seeds(mine: Mapping[int, float], theirs: Mapping[int, float]) -> dict[int, float]:
    """Subtracts from results those of the same seed; a seed that only one of the two has is left out.

    >>> within_seeds({0: 3.0, 1: 5.0}, {1: 4.0, 2: 7.0})
    {1: 1.0}
    """
    return {seed: mine[seed] - theirs[seed] for seed in sorted(mine.keys() & theirs.keys())}


def student_quantile(share: float, *, degrees: int) -> float:
    """Returns the value that Student's t stays below with a probability.

    >>> round(student_quantile(0.975, degrees=4), 4)
    2.7764
    """
    return float(stdtrit(degrees, share))


def times_right(runs: Sequence[Bool[np.ndarray, " images"]]) -> Int64[np.ndarray, " images"]:
    """Counts for each image the runs that are right about it.

    Raises:
      ValueError: there are no runs.
    """
    return np.sum(np.stack([run.astype(np.int64) for run in runs]), axis=0)


def image_band(counts: Int64[np.ndarray, " images"], *, num_runs: int, num_draws: int = NUM_IMAGE_DRAWS) -> Band | None:
    """Computes how the mean accuracy of some runs, or a difference of two, varies with the choice of images.

    Args:
      counts: how many of the runs are right about each image (`times_right`); for a difference of two arms, the counts
        of one minus those of the other.
      num_runs: number of runs of an arm.
      num_draws: number of draws of as many images as there are, with replacement.

    Returns:
      The middle `LEVEL` of the draws, as shares in -1..1; None for fewer than two images.
    """
    num_images = len(counts)
    if num_images < 2:
        return None
    at_once = max(1, _PLACES_AT_ONCE // num_images)
    sums = [
        drawn_counts(min(at_once, num_draws - first), num_images, first=first) @ counts
        for first in range(0, num_draws, at_once)
    ]
    shares = np.concatenate(sums) / (num_images * num_runs)
    low, high = np.quantile(shares, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Band(float(low), float(high))
