"""Convolutions against a loop over the pixels of the kernel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.ops.convolution import convolve, convolve_channels
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


@pytest.mark.parametrize("sides", [(4, 6), (5, 3)])
def test_a_stride_keeps_every_second_row_and_column(sides):
    random = np.random.default_rng(1)
    maps = jnp.asarray(random.normal(size=(1, *sides, 2)), jnp.float32)
    kernel = jnp.asarray(random.normal(size=(3, 3, 2, 4)), jnp.float32)
    np.testing.assert_allclose(convolve(maps, kernel, stride=2), convolve(maps, kernel)[:, ::2, ::2], atol=1e-5)


@pytest.mark.parametrize("size", [(3, 3), (1, 5)])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_a_convolution_of_channels_is_one_with_a_diagonal_kernel(size, dtype):
    random = np.random.default_rng(2)
    maps = jnp.asarray(random.normal(size=(2, 4, 3, 5)), dtype)
    kernel = jnp.asarray(random.normal(size=(*size, 5)), jnp.float32)
    diagonal = kernel[..., None] * jnp.broadcast_to(jnp.eye(5, dtype=jnp.float32), (*size, 5, 5))
    found = convolve_channels(maps, kernel)
    assert found.dtype == dtype
    exact = convolve(maps.astype(jnp.float32), diagonal)
    # The sum is rounded once to 8 bits; its terms are float32.
    np.testing.assert_allclose(found.astype(jnp.float32), exact, atol=0.05 if dtype == jnp.bfloat16 else 1e-5)


def test_the_gradient_of_a_kernel_of_channels_is_that_of_the_diagonal():
    random = np.random.default_rng(3)
    maps, kernel = (jnp.asarray(random.normal(size=shape), jnp.float32) for shape in ((2, 4, 3, 5), (3, 3, 5)))

    def of_diagonal(kernel):
        diagonal = kernel[..., None] * jnp.broadcast_to(jnp.eye(5, dtype=jnp.float32), (3, 3, 5, 5))
        return jnp.sum(jnp.sin(convolve(maps, diagonal)))

    found = jax.grad(lambda kernel: jnp.sum(jnp.sin(convolve_channels(maps, kernel))))(kernel)
    np.testing.assert_allclose(found, jax.grad(of_diagonal)(kernel), atol=1e-4)
