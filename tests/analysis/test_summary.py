"""Summaries of receptive fields: closed forms of discs, squares and single pixels."""

import json
from dataclasses import replace

import numpy as np
import pytest

from gauss_vit.analysis.erf import ErfMap
from gauss_vit.analysis.gaussian_fit import fit_receptive_fields
from gauss_vit.analysis.protocol import BMVC2023, REPLKNET
from gauss_vit.analysis.summary import area_ratio, half_mass_radius, profile_radii, radial_mass, summarize


def field(values, *, token=(4, 6), grid=(10, 14), magnitude=1.0, protocol=BMVC2023):
    return ErfMap(
        values=values / values.sum(), magnitude=magnitude, num_images=3, token=token, grid=grid, protocol=protocol
    )


def summary_of(erf):
    (fit,) = fit_receptive_fields(erf.values[None])
    return summarize(erf, fit)


def gaussian(center_yx, sigma, shape=(80, 112)):
    y, x = np.indices(shape)
    return np.exp(-((y - center_yx[0]) ** 2 + (x - center_yx[1]) ** 2) / (2 * sigma**2))


def test_a_gaussian_on_its_target_has_rayleighs_radii_and_no_shift():
    summary = summary_of(field(gaussian((35.5, 51.5), 6.0)))
    assert summary.target_yx == (35.5, 51.5)
    # A ring of pixels is half a pixel wide at least.
    assert summary.half_mass_radius == pytest.approx(6 * np.sqrt(2 * np.log(2)), abs=0.5)
    for radius, mass in summary.radial_mass:
        assert mass == pytest.approx(1 - np.exp(-(radius**2) / 72), abs=0.03)
    np.testing.assert_allclose(summary.mass_shift_yx, 0, atol=1e-6)
    np.testing.assert_allclose(summary.fit_shift_yx, 0, atol=1e-6)


def test_shifts_are_from_the_target_to_the_field():
    summary = summary_of(field(gaussian((38.5, 46.5), 4.0)))
    np.testing.assert_allclose(summary.mass_shift_yx, (3, -5), atol=1e-6)
    np.testing.assert_allclose(summary.fit_shift_yx, (3, -5), atol=1e-6)


def test_a_uniform_disc_has_half_its_mass_within_its_radius_over_root_two():
    y, x = np.indices((101, 101))
    disc = (np.hypot(y - 50, x - 50) <= 40).astype(np.float64)
    assert half_mass_radius(disc, (50.0, 50.0)) == pytest.approx(40 / np.sqrt(2), abs=0.5)


def test_one_pixel_is_within_its_distance_and_not_before():
    values = np.zeros((10, 14))
    values[5, 9] = 2.0
    np.testing.assert_array_equal(
        radial_mass(values, (2.0, 5.0), radii_px=np.array([0.0, 4.9, 5.0, 9.0])), [0, 0, 1, 1]
    )
    assert half_mass_radius(values, (2.0, 5.0)) == 5


def test_profiles_start_at_nothing_and_end_with_all():
    values = np.random.default_rng(0).uniform(size=(30, 20))
    radii = profile_radii((30, 20), (4.5, 9.5))
    mass = radial_mass(values, (4.5, 9.5), radii_px=radii)
    assert mass[0] == 0
    assert mass[-1] == pytest.approx(1)
    assert (np.diff(mass) >= 0).all()
    assert radii[-1] >= np.hypot(25, 10) - 1


@pytest.mark.parametrize("threshold", [0.2, 0.3, 0.5, 0.99])
def test_area_ratio_of_a_uniform_map_is_the_next_odd_square(threshold):
    found = area_ratio(np.ones((224, 224)), threshold)
    # The square of side s holds s^2 / 224^2; the next smaller one does not hold the threshold.
    assert found.ratio > threshold >= ((found.side_px - 2) / 224) ** 2
    assert found.ratio == pytest.approx((found.side_px / 224) ** 2)


def test_area_ratio_is_that_of_a_loop_over_squares_on_random_maps():
    values = np.random.default_rng(1).uniform(size=(41, 60)) ** 3
    for threshold in (0.2, 0.5):
        half = next(
            half
            for half in range(1, 20)
            if values[20 - half : 21 + half, 30 - half : 31 + half].sum() > threshold * values.sum()
        )
        assert area_ratio(values, threshold).side_px == 2 * half + 1


def test_a_square_that_does_not_exist_is_none():
    corner = np.zeros((20, 20))
    corner[0, 0] = 1
    assert area_ratio(corner, 0.2).side_px is None
    assert area_ratio(corner, 0.2).ratio is None


def test_replknets_ratios_are_of_logarithms_of_the_mean_map():
    values = gaussian((35.5, 51.5), 6.0)
    small, large = (summary_of(field(values, magnitude=size, protocol=REPLKNET)).area_ratios[2] for size in (1e-6, 1e6))
    plain = summary_of(field(values, magnitude=1e6)).area_ratios[2]
    # log10(1 + x) is a constant times x for small x, and spreads large x.
    assert small.side_px == plain.side_px
    assert large.side_px > plain.side_px


def test_json_is_plain_and_a_fit_that_failed_has_no_shift():
    erf = field(gaussian((35.5, 51.5), 6.0))
    (fit,) = fit_receptive_fields(erf.values[None])
    summary = summarize(erf, replace(fit, converged=False))
    assert summary.fit_shift_yx is None
    plain = json.loads(json.dumps(summary.to_json(), allow_nan=False))
    assert list(plain["area_ratios"]) == ["0.2", "0.3", "0.5", "0.99"]
    assert plain["radial_mass"]["5"] == summary.radial_mass[0][1]
