"""Flips on the device: those of NumPy, of the images that are named."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.ops.flipping import flip


@pytest.mark.parametrize("shape", [(3, 3, 5, 3), (3, 2, 6, 3), (1, 4, 1, 3)])
def test_the_named_images_are_mirrored_and_no_others(shape):
    images = np.random.RandomState(0).randint(0, 256, shape, np.uint8)
    run = jax.jit(flip)
    for named in np.ndindex(*(2,) * shape[0]):
        mask = np.asarray(named, bool)
        flipped = run(jnp.asarray(images), jnp.asarray(mask))
        assert flipped.dtype == np.uint8
        for index, is_flipped in enumerate(mask):
            np.testing.assert_array_equal(flipped[index], images[index, :, ::-1] if is_flipped else images[index])


def test_two_flips_are_none():
    images = jnp.asarray(np.random.RandomState(0).randint(0, 256, (3, 4, 5, 3), np.uint8))
    mask = jnp.asarray([True, False, True])
    np.testing.assert_array_equal(flip(flip(images, mask), mask), images)
