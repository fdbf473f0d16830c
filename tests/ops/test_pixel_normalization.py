"""Normalisation against numpy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.ops.pixel_normalization import Normalization

NORMALIZATION = Normalization(mean=(0.5, 0.4, 0.3), std=(0.25, 0.2, 0.1))


@pytest.mark.parametrize("num_images", [1, 3])
def test_bytes_are_shifted_and_scaled_by_colour(num_images: int):
    image = np.random.default_rng(0).integers(256, size=(num_images, 4, 6, 3)).astype(np.uint8)
    expected = (image / 255 - np.asarray([0.5, 0.4, 0.3])) / np.asarray([0.25, 0.2, 0.1])
    actual = jax.jit(NORMALIZATION)(jnp.asarray(image))
    assert actual.dtype == jnp.float32
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=2e-6)  # a few float32 roundings of values up to 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": (0.5, float("nan"), 0.5)}, "mean must be finite"),
        ({"std": (0.5, 0.0, 0.5)}, "std must be above 0"),
        ({"std": (0.5, float("inf"), 0.5)}, "std must be above 0"),
    ],
)
def test_values_out_of_range_are_refused_by_name(change: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(NORMALIZATION, **change)
