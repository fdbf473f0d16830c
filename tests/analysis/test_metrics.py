"""Metrics of receptive fields: closed forms, and what OpenERF recorded for real maps."""

import json

import numpy as np
import pytest

from gauss_vit.analysis.metrics import RADII_PX, erf_metrics


def test_one_pixel_is_everything():
    values = np.zeros((10, 14))
    values[2, 11] = 3.0
    metrics = erf_metrics(values)
    assert metrics.shape == (10, 14)
    assert (metrics.sum, metrics.min, metrics.max) == (1, 0, 1)
    assert metrics.argmax_yx == (2, 11)
    assert (metrics.com_y, metrics.com_x) == (2, 11)
    assert metrics.center_yx == (5, 7)
    assert metrics.center_value == 0
    # The pixel is sqrt(3^2 + 4^2) = 5 away from the centre.
    assert metrics.radial_cumulative_mass[0] == (5, 1.0)


def test_mass_within_a_radius_counts_its_border():
    values = np.zeros((11, 11))
    values[5, 0] = 1.0
    assert erf_metrics(values, radii_px=(4, 5)).radial_cumulative_mass == ((4, 0.0), (5, 1.0))


def test_a_uniform_map_has_the_share_of_a_disc():
    metrics = erf_metrics(np.ones((200, 300)))
    assert metrics.com_y == pytest.approx(99.5)
    assert metrics.com_x == pytest.approx(149.5)
    for radius, mass in metrics.radial_cumulative_mass:
        assert mass == pytest.approx(np.pi * radius**2 / 60_000, rel=0.05)


def test_scale_does_not_matter():
    values = np.random.default_rng(0).uniform(size=(20, 30))
    first, second = erf_metrics(values), erf_metrics(7 * values)
    np.testing.assert_allclose(
        [mass for _, mass in first.radial_cumulative_mass], [mass for _, mass in second.radial_cumulative_mass]
    )
    assert first.max == pytest.approx(second.max)


def test_float32_maps_are_summed_in_float64():
    values = np.random.default_rng(0).uniform(size=(224, 224)).astype(np.float32)
    assert erf_metrics(values) == erf_metrics(values.astype(np.float64))


def test_a_map_without_mass_and_a_radius_of_zero_are_refused():
    with pytest.raises(ValueError, match="positive sum"):
        erf_metrics(np.zeros((4, 4)))
    with pytest.raises(ValueError, match="positive radii"):
        erf_metrics(np.ones((4, 4)), radii_px=(0,))


def test_real_maps_have_the_metrics_that_openerf_recorded(real_data):
    folder = real_data / "erf_reference"
    with np.load(folder / "openerf_maps_f32.npz") as archive:
        assert len(archive.files) == 19
        for name in archive.files:
            recorded = json.loads((folder / "metrics" / f"OpenERF_{name}_metrics.json").read_text())
            recorded.pop("data_config", None)
            ours = json.loads(json.dumps(erf_metrics(archive[name]).to_json()))
            assert list(ours) == list(recorded)
            assert list(ours["radial_cumulative_mass"]) == [str(radius) for radius in RADII_PX]
            masses = [entry.pop("radial_cumulative_mass") for entry in (ours, recorded)]
            # The maps are stored in float32, the metrics were computed before: 1e-7 relative.
            np.testing.assert_allclose(*[list(mass.values()) for mass in masses], rtol=1e-6)
            for key, value in recorded.items():
                np.testing.assert_allclose(ours[key], value, rtol=1e-6, err_msg=f"{name} {key}")
