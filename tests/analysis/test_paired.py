"""Student's t interval beside scipy's, and the bootstrap over images beside what it must come to."""

import math

import numpy as np
import pytest
from scipy import stats

from gauss_vit.analysis import paired
from gauss_vit.analysis.paired import estimate, image_band, times_right

VALUES = [0.325, 0.35, 0.333, 0.341, 0.307]


def test_interval_of_the_mean_is_that_of_scipy():
    found = estimate(VALUES)
    expected = stats.t.interval(0.95, len(VALUES) - 1, loc=np.mean(VALUES), scale=stats.sem(VALUES))
    assert found.interval == pytest.approx(expected, rel=1e-12)
    assert found.deviation == pytest.approx(np.std(VALUES, ddof=1), rel=1e-12)


def test_interval_of_two_results_is_in_closed_form():
    found = estimate([0.0, 2.0])
    half = math.tan(math.pi * 0.475)  # Student's t of one degree is the Cauchy distribution.
    assert found.interval == pytest.approx((1 - half, 1 + half), rel=1e-9)


def test_single_result_has_no_interval():
    found = estimate([0.5])
    assert (found.mean, found.num, found.deviation, found.interval) == (0.5, 1, None, None)


def test_no_results_are_refused():
    with pytest.raises(ValueError, match="no results"):
        estimate([])


def test_intervals_hold_the_true_mean_as_often_as_they_say():
    draws = np.random.default_rng(0).normal(size=(2000, 5))
    holds = [low <= 0 <= high for low, high in (estimate(row.tolist()).interval for row in draws)]
    # The standard deviation of the share is 0.005.
    assert np.mean(holds) == pytest.approx(0.95, abs=0.02)


def test_order_of_results_changes_no_bit():
    assert estimate(VALUES) == estimate(VALUES[::-1])


def test_runs_that_are_right_are_counted_by_image():
    runs = [np.array([True, False, True]), np.array([True, True, False])]
    assert times_right(runs).tolist() == [2, 1, 1]


def test_band_of_images_has_the_width_of_a_binomial():
    counts = (np.random.default_rng(1).random(500) < 0.3).astype(np.int64)
    share = counts.mean()
    band = image_band(counts, num_runs=1)
    half = 1.96 * math.sqrt(share * (1 - share) / 500)
    assert band == pytest.approx((share - half, share + half), abs=0.15 * half)


def test_images_that_all_runs_have_right_do_not_vary():
    assert image_band(np.full(7, 3), num_runs=3, num_draws=50) == (1.0, 1.0)


def test_difference_of_equal_arms_is_zero():
    assert image_band(np.zeros(9, np.int64), num_runs=2, num_draws=50) == (0.0, 0.0)


def test_single_image_has_no_band():
    assert image_band(np.array([1]), num_runs=1) is None


def test_parts_of_the_draws_change_no_bit(monkeypatch: pytest.MonkeyPatch):
    counts = np.arange(11) % 3
    whole = image_band(counts, num_runs=2, num_draws=64)
    monkeypatch.setattr(paired, "_PLACES_AT_ONCE", 55)
    assert image_band(counts, num_runs=2, num_draws=64) == whole
