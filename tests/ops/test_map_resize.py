"""Pooling and resizing of maps, against loops over their definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.ops.map_resize import adaptive_average_pool, averaging_matrix, bilinear_resize, linear_matrix
from tests.tolerance import of_sums

# Smaller, larger, in one direction each, of equal size, one pixel.
SIZES = {"down": ((7, 10), (3, 6)), "up": ((2, 3), (5, 6)), "both": ((5, 2), (3, 7)), "same": ((4, 3), (4, 3))}
SIZES |= {"to one": ((3, 5), (1, 1)), "of one": ((1, 1), (2, 3))}
CASES = pytest.mark.parametrize(("source", "target"), SIZES.values(), ids=SIZES)


def maps_of(source, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(0).normal(size=(2, *source, 3)), dtype)


def pooled(values, target):
    """Cells from floor(i source / target) to ceil((i + 1) source / target), as torch's documentation has them."""
    height, width = values.shape[1:3]
    result = np.empty((values.shape[0], *target, values.shape[3]))
    for row in range(target[0]):
        for column in range(target[1]):
            rows = slice(int(np.floor(row * height / target[0])), int(np.ceil((row + 1) * height / target[0])))
            columns = slice(int(np.floor(column * width / target[1])), int(np.ceil((column + 1) * width / target[1])))
            result[:, row, column] = values[:, rows, columns].mean(axis=(1, 2))
    return result


def interpolated(values, target):
    """The four samples around each place, which is not before the first centre."""
    height, width = values.shape[1:3]
    result = np.empty((values.shape[0], *target, values.shape[3]))
    for row in range(target[0]):
        for column in range(target[1]):
            y = max((row + 0.5) * height / target[0] - 0.5, 0)
            x = max((column + 0.5) * width / target[1] - 0.5, 0)
            top, left = int(y), int(x)
            below, right = min(top + 1, height - 1), min(left + 1, width - 1)
            upper = (1 - (x - left)) * values[:, top, left] + (x - left) * values[:, top, right]
            lower = (1 - (x - left)) * values[:, below, left] + (x - left) * values[:, below, right]
            result[:, row, column] = (1 - (y - top)) * upper + (y - top) * lower
    return result


@CASES
def test_pooling_is_the_mean_of_each_cell(source, target):
    maps = maps_of(source)
    atol = of_sums(sum(source)) * np.abs(maps).max()
    np.testing.assert_allclose(
        adaptive_average_pool(maps, target), pooled(np.asarray(maps, np.float64), target), rtol=0, atol=atol
    )


@CASES
def test_resizing_interpolates_between_four_samples(source, target):
    maps = maps_of(source)
    atol = of_sums(8) * np.abs(maps).max()
    np.testing.assert_allclose(
        bilinear_resize(maps, target), interpolated(np.asarray(maps, np.float64), target), rtol=0, atol=atol
    )


@pytest.mark.parametrize("matrix", [averaging_matrix, linear_matrix])
@pytest.mark.parametrize(("source", "target"), [(16, 128), (5, 9), (9, 5), (1, 6), (6, 1)])
def test_constants_stay_and_order_is_mirrored(matrix, source, target):
    weights = matrix(source, target)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-14)
    np.testing.assert_allclose(weights, weights[::-1, ::-1], atol=1e-14)


def test_gradient_is_the_transposed_map_in_the_type_of_the_maps():
    maps, cotangent = maps_of((3, 4), jnp.bfloat16), maps_of((6, 5), jnp.bfloat16)
    _, pull_back = jax.vjp(lambda values: bilinear_resize(values, (6, 5)), maps)
    (gradient,) = pull_back(cotangent)
    rows, columns = linear_matrix(3, 6), linear_matrix(4, 5)
    expected = np.einsum("yh,xw,byxc->bhwc", rows, columns, np.asarray(cotangent, np.float64))
    assert gradient.dtype == jnp.bfloat16
    # Weights, the map between the two products, and the result are rounded to 8 bits.
    np.testing.assert_allclose(np.asarray(gradient, np.float64), expected, rtol=0, atol=4 * 2**-8 * 6)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_float32_is_multiplied_in_float32_on_every_device(dtype):
    gradient = jax.grad(lambda maps: jnp.sum(jnp.square(bilinear_resize(maps, (6, 5)))).astype(jnp.float32))
    products = [
        line
        for line in jax.jit(gradient).lower(maps_of((3, 4), dtype)).as_text().splitlines()
        if "stablehlo.dot_general" in line
    ]
    # Two forward and two backward; of bfloat16 there is only one precision.
    assert len(products) == 4
    assert all(("HIGHEST" in line) == (dtype == jnp.float32) for line in products)
