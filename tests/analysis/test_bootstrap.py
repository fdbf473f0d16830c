"""Confidence bands: draws that repeat, and widths that statistics predicts."""

import json

import numpy as np
import pytest

from gauss_vit.analysis.bootstrap import confidence_bands, drawn_counts
from gauss_vit.analysis.erf import ErfSum
from gauss_vit.analysis.gaussian_fit import fit_receptive_fields, image_bounds
from gauss_vit.analysis.protocol import BMVC2023

SHAPE, GRID, TOKEN = (40, 56), (10, 14), (4, 6)


def hill(sigma):
    y, x = np.indices(SHAPE)
    values = np.exp(-((y - 17.5) ** 2 + (x - 25.5) ** 2) / (2 * sigma**2))
    return values / values.sum()


def total_of(groups):
    stacked = np.stack(groups)[:, None]
    return ErfSum(
        values=stacked.sum(axis=0),
        groups=stacked,
        num_images=len(groups),
        tokens=(TOKEN,),
        grid=GRID,
        protocol=BMVC2023,
    )


def bands_of(total, **options):
    (result,) = total.maps()
    (fit,) = fit_receptive_fields(result.values[None])
    return confidence_bands(total, result, fit, **options)


@pytest.fixture(scope="module")
def varied():
    sigmas = np.random.default_rng(0).normal(5.0, 0.5, 32)
    return sigmas, total_of([hill(sigma) for sigma in sigmas])


def test_a_draw_takes_as_many_groups_as_there_are():
    counts = drawn_counts(300, 16)
    assert counts.shape == (300, 16)
    assert (counts.sum(axis=1) == 16).all()
    np.testing.assert_array_equal(counts, drawn_counts(300, 16))
    # Each group is taken 300 times of 4800, give or take 17.
    assert np.abs(counts.sum(axis=0) - 300).max() < 5 * 17


def test_draws_are_those_of_splitmix64():
    # The published first outputs from seed 0: as shares of 2^64 times five groups they fall into 4, 2, 0, 4, 0.
    outputs = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F, 0xF88BB8A8724C81EC, 0x1B39896A51A8749B]
    expected = np.bincount([output * 5 >> 64 for output in outputs], minlength=5)
    assert drawn_counts(1, 5).tolist() == [expected.tolist()]


def test_equal_images_have_bands_of_no_width():
    bands = bands_of(total_of([hill(5.0)] * 16))
    assert bands.sigma_x.low == pytest.approx(bands.sigma_x.high, rel=1e-6)
    assert bands.half_mass_radius.low == bands.half_mass_radius.high
    np.testing.assert_allclose(bands.profile[0], bands.profile[1], atol=1e-12)


def test_the_band_of_sigma_has_the_width_of_the_standard_error(varied):
    sigmas, total = varied
    bands = bands_of(total)
    standard_error = sigmas.std(ddof=1) / np.sqrt(sigmas.size)
    # 200 draws know a 95 % interval to a tenth or so; sigma of a mixture is not quite the mean of the sigmas.
    assert bands.sigma_x.high - bands.sigma_x.low == pytest.approx(2 * 1.96 * standard_error, rel=0.35)
    assert bands.sigma_x.low < 5.0 < bands.sigma_x.high


def test_the_profile_lies_in_its_band(varied):
    _, total = varied
    bands = bands_of(total)
    assert (bands.profile[0] <= bands.profile[1] + 1e-12).all()
    assert bands.profile[:, 0].tolist() == [0, 0]
    np.testing.assert_allclose(bands.profile[:, -1], 1)
    assert bands.num_groups == 32


def test_bands_repeat_bit_for_bit(varied):
    _, total = varied
    first, second = bands_of(total), bands_of(total)
    assert first.to_json() == second.to_json()
    np.testing.assert_array_equal(first.profile, second.profile)


def test_a_bounded_fit_has_bands(varied):
    _, total = varied
    assert bands_of(total, bounds=image_bounds(*SHAPE)).sigma_x == pytest.approx(bands_of(total).sigma_x, rel=1e-6)


def test_few_images_or_no_groups_have_no_bands(varied):
    _, total = varied
    assert bands_of(total_of([hill(5.0), hill(6.0)] * 4 + [hill(5.0)])) is None
    assert bands_of(total_of([hill(5.0), hill(6.0)] * 5)) is not None
    plain = ErfSum(values=total.values, groups=None, num_images=32, tokens=(TOKEN,), grid=GRID, protocol=BMVC2023)
    assert bands_of(plain) is None


def test_empty_groups_are_not_drawn():
    bands = bands_of(total_of([hill(5.0), hill(6.0)] * 5 + [np.zeros(SHAPE)]))
    assert bands.num_groups == 10
    json.dumps(bands.to_json(), allow_nan=False)
