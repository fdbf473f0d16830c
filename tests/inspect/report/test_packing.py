"""Arrays as texts: what comes back is what went in, up to the bound that is promised."""

import numpy as np
import pytest

from gauss_vit.inspect.report.packing import block_means, compand, expand, half, pack, pack_maps, unpack


@pytest.mark.parametrize("array", [np.arange(12, dtype=np.uint8).reshape(3, 4), np.float16([[1.5, -2]]), np.float32(3)])
def test_packed_arrays_come_back(array: np.ndarray):
    np.testing.assert_array_equal(unpack(pack(np.asarray(array))), array)


def test_levels_are_within_the_promised_bound_over_six_decades():
    values = 10.0 ** np.random.default_rng(0).uniform(-8, -2, size=(5, 9, 11))
    found = compand(values)
    peak = values.max(axis=(1, 2), keepdims=True)
    bound = peak * (np.sqrt(values / peak) / 255 + 1 / 510**2) * (1 + 1e-6)
    assert not found.is_signed
    assert (np.abs(expand(found) - values) <= bound).all()
    assert (found.codes.max(axis=(1, 2)) == 255).all()


def test_signed_maps_keep_their_signs_and_their_zero():
    values = np.array([[[-4.0, 0.0], [1.0, 0.01]]])
    found = compand(values)
    assert found.is_signed
    bound = 4 * (np.sqrt(np.abs(values) / 4) / 127 + 1 / 254**2)
    assert (np.abs(expand(found) - values) <= bound).all()
    assert expand(found)[0, 0, 1] == 0


def test_empty_map_stays_empty():
    found = compand(np.zeros((2, 3, 3)))
    np.testing.assert_array_equal(expand(found), np.zeros((2, 3, 3)))
    assert pack_maps(found)["signed"] is False


def test_half_precision_has_a_largest_number():
    np.testing.assert_array_equal(half(np.array([1e9, -1e9, 0.5])), np.float16([65504, -65504, 0.5]))


def test_block_means_keep_the_mean_and_refuse_uneven_cuts():
    values = np.random.default_rng(1).random((2, 6, 8))
    means = block_means(values, (3, 2))
    np.testing.assert_allclose(means[1, 2, 1], values[1, 4:6, 4:8].mean())
    np.testing.assert_allclose(means.mean(axis=(1, 2)), values.mean(axis=(1, 2)))
    with pytest.raises(ValueError, match="cannot be cut"):
        block_means(values, (4, 2))
