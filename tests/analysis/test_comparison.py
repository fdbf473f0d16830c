"""Differences of receptive fields: mass that moves, on any grid."""

import numpy as np
import pytest

from gauss_vit.analysis.comparison import MeasuredField, difference, patch_sums
from gauss_vit.errors import ConfigError


def field(values, grid=(2, 3)):
    return MeasuredField(
        title="a",
        values=values,
        token=(0, 1),
        grid=grid,
        protocol="bmvc2023",
        num_images=2,
        radii_px=np.arange(3.0),
        radial_mass=np.array([0.0, 0.5, 1.0]),
        radial_band=None,
    )


def test_a_field_does_not_differ_from_itself():
    values = np.random.default_rng(0).dirichlet(np.ones(54)).reshape(6, 9)
    found = difference(field(values), field(values))
    assert found.moved_mass == 0
    assert found.correlation == pytest.approx(1)
    assert not found.by_patch.any()


def test_moved_mass_is_what_lies_elsewhere():
    here, there = np.zeros((6, 9)), np.zeros((6, 9))
    here[0, 0] = 1
    there[0, 0], there[5, 8] = 0.75, 0.25
    found = difference(field(there), field(here))
    assert found.moved_mass == 0.25
    np.testing.assert_array_equal(found.by_patch, [[-0.25, 0, 0], [0, 0, 0.25]])


def test_differences_are_summed_over_the_references_patches():
    values, other = (np.random.default_rng(seed).dirichlet(np.ones(54)).reshape(6, 9) for seed in (0, 1))
    found = difference(field(values, grid=(6, 9)), field(other))
    assert found.by_patch.shape == (2, 3)
    np.testing.assert_allclose(found.by_patch.sum(), 0, atol=1e-15)


def test_pixels_that_no_patch_covers_whole_are_counted_once():
    assert patch_sums(np.ones((7, 10)), (2, 3)).sum() == 70


def test_images_of_different_sizes_are_refused():
    with pytest.raises(ConfigError, match=r"\(6, 9\) pixels and a has \(4, 4\)"):
        difference(field(np.ones((6, 9))), field(np.ones((4, 4))))
