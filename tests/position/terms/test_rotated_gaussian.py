"""The rotated Gaussian against its covariance matrix, and against the Gaussian that it becomes."""

import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.position import Gaussian, RotatedGaussian
from tests.position.terms.cases import drawn


def params_of(amplitude, along, across, angle):
    return {
        "amplitude": jnp.asarray([amplitude], jnp.float32),
        "sigma": jnp.asarray([[along], [across]], jnp.float32),
        "angle": jnp.asarray([angle], jnp.float32),
    }


@pytest.mark.parametrize("angle", [0.0, 0.4, 1.9, -0.7])
def test_logits_are_a_normal_density_of_the_rotated_covariance(angle):
    grid = (4, 5)
    table = np.asarray(RotatedGaussian().table(params_of(1.5, 3.0, 1.2, angle), grid))[0]
    long_axis = np.array([np.sin(angle), np.cos(angle)])  # (y, x)
    short_axis = np.array([np.cos(angle), -np.sin(angle)])
    covariance = 9.0 * np.outer(long_axis, long_axis) + 1.44 * np.outer(short_axis, short_axis)
    for dy in range(-3, 4):
        for dx in range(-4, 5):
            offset = np.array([dy, dx])
            expected = 2.25 * np.exp(-offset @ np.linalg.inv(covariance) @ offset / 2)
            assert table[dy + 3, dx + 4] == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_without_rotation_it_is_the_anisotropic_gaussian():
    wide = {"amplitude": jnp.full((1,), 2, jnp.float32), "sigma": jnp.asarray([[1.5], [3.0]], jnp.float32)}
    expected = Gaussian(anisotropic=True).table(wide, (3, 4))
    np.testing.assert_allclose(RotatedGaussian().table(params_of(2.0, 3.0, 1.5, 0.0), (3, 4)), expected, rtol=1e-5)
    # A quarter turn exchanges the widths.
    turned = RotatedGaussian().table(params_of(2.0, 1.5, 3.0, np.pi / 2), (3, 4))
    np.testing.assert_allclose(turned, expected, rtol=1e-5)


def test_half_turns_and_signs_mean_the_same():
    plain = np.asarray(RotatedGaussian().table(params_of(2.0, 3.0, 1.0, 0.3), (3, 4)))
    for same in ((2.0, 3.0, 1.0, 0.3 + np.pi), (-2.0, 3.0, 1.0, 0.3), (2.0, -3.0, -1.0, 0.3)):
        np.testing.assert_allclose(RotatedGaussian().table(params_of(*same), (3, 4)), plain, rtol=1e-4)


def test_heads_start_with_angles_over_half_a_turn():
    np.testing.assert_allclose(drawn(RotatedGaussian(), num_heads=4)["angle"], np.pi * np.array([0, 0.25, 0.5, 0.75]))
    assert drawn(RotatedGaussian(per_head=False), num_heads=4)["angle"].tolist() == [0.0]


def test_the_angle_is_logged_in_degrees_of_half_a_turn():
    stacked = {"amplitude": np.ones((1, 2)), "sigma": np.ones((1, 2, 2)), "angle": np.array([[np.pi / 2, -np.pi / 4]])}
    np.testing.assert_allclose(RotatedGaussian().numbers(stacked, (3, 3))["angle"], [[90, 135]])


@pytest.mark.parametrize(
    "wrong", [{"amplitude": 0.0}, {"along": 0.0}, {"across": float("nan")}, {"along": 2.5, "across": 2.5}]
)
def test_start_values_that_cannot_work_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        RotatedGaussian(**wrong)
