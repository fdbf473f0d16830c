"""Convolutions against a loop over the pixels of the kernel."""

import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.ops.convolution import convolve
from tests.tolerance import of_sums


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (1, 5)])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_each_pixel_of_the_kernel_weighs_a_shifted_map(size, dtype):
    random = np.random.default_rng(0)
    maps = np.asarray(jnp.asarray(random.normal(size=(2, 4, 3, 5)), dtype), np.float64)
    kernel = np.asarray(jnp.asarray(random.normal(size=(*size, 5, 6)), dtype), np.float64)
    above, left = size[0] // 2, size[1] // 2
    padded = np.pad(maps, ((0, 0), (above, above), (left, left), (0, 0)))
    expected, bound = np.zeros((2, 4, 3, 6)), np.zeros((2, 4, 3, 6))
    for row in range(size[0]):
        for column in range(size[1]):
            part = padded[:, row : row + 4, column : column + 3]
            expected += part @ kernel[row, column]
            bound += np.abs(part) @ np.abs(kernel[row, column])
    found = convolve(jnp.asarray(maps, dtype), jnp.asarray(kernel, jnp.float32))
    assert found.dtype == dtype
    rounding = of_sums(5 * size[0] * size[1]) + (2**-8 if dtype == jnp.bfloat16 else 0)
    assert np.all(np.abs(np.asarray(found, np.float64) - expected) <= rounding * bound)
