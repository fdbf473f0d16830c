"""Operations of traced programs, against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gauss_vit.heads.network import NetworkConfig
from gauss_vit.heads.upernet import UPerNetHead
from gauss_vit.models.presets.swin import SWIN_BASE, SWIN_SMALL, SWIN_TINY, for_dense_tasks
from gauss_vit.ops.convolution import convolve
from gauss_vit.ops.map_resize import bilinear_resize
from gauss_vit.train.operations import multiply_adds, multiply_adds_by_part, operations
from gauss_vit.train.state import abstract_model

VECTOR, MATRIX = jnp.ones((1, 8), jnp.float32), np.ones((8, 8), np.float32)
PRODUCT = 8 * 8


def program(function, *inputs):
    return jax.make_jaxpr(function)(*inputs).jaxpr


def test_a_convolution_multiplies_every_pixel_by_the_kernel():
    maps, kernel = jnp.ones((2, 5, 7, 3), jnp.float32), jnp.ones((3, 3, 3, 4), jnp.float32)
    counted = program(convolve, maps, kernel)
    assert multiply_adds(counted) == 2 * 5 * 7 * 4 * 3 * 9
    assert operations(counted) == 2 * multiply_adds(counted)


def test_weights_that_are_fixed_count_as_operations_alone():
    assert multiply_adds(program(lambda vector, matrix: vector @ matrix, VECTOR, MATRIX)) == PRODUCT
    assert multiply_adds(program(lambda vector: vector @ MATRIX, VECTOR)) == 0
    assert operations(program(lambda vector: vector @ MATRIX, VECTOR)) == 2 * PRODUCT
    resized = program(lambda maps: bilinear_resize(maps, (5, 6)), jnp.ones((1, 3, 4, 2), jnp.float32))
    assert multiply_adds(resized) == 0
    assert operations(resized) > 0


@pytest.mark.parametrize("is_fixed", [True, False])
def test_in_functions_and_loops_it_counts_what_varies(is_fixed):
    def looped(vector, matrix):
        weights = jnp.asarray(MATRIX) if is_fixed else matrix
        product = jax.jit(lambda carry, weights: carry @ weights)
        return jax.lax.scan(lambda carry, _: (product(carry, weights), None), vector, length=5)[0]

    assert multiply_adds(program(looped, VECTOR, MATRIX)) == (0 if is_fixed else 5 * PRODUCT)


def test_of_branches_the_larger_counts():
    def chosen(vector, matrix):
        return jax.lax.cond(vector[0, 0] > 0, lambda: vector @ matrix, lambda: vector @ matrix @ matrix)

    assert multiply_adds(program(chosen, VECTOR, MATRIX)) == 2 * PRODUCT


def test_what_a_loop_changes_varies():
    def squared(rows):
        start = jnp.zeros((8, 8), jnp.float32)
        return jax.lax.scan(lambda carry, row: (carry + row[:, None], carry @ carry), start, rows)

    assert multiply_adds(program(squared, MATRIX)) == 8 * 8 * PRODUCT


def test_products_belong_to_the_part_whose_parameters_they_read():
    def network(first, second, vector):
        hidden = vector @ first.astype(jnp.float32)
        between = jnp.outer(hidden, hidden)
        return between @ (2 * second)

    counted = program(network, MATRIX.astype(jnp.bfloat16), MATRIX, VECTOR)
    counts = multiply_adds_by_part(counted, ["body", "head", None])
    assert list(counts) == ["body", "head"]
    assert sum(counts.values()) == multiply_adds(counted)
    assert counts["head"] == MATRIX.shape[1] * PRODUCT


@pytest.mark.parametrize(
    ("preset", "size", "giga"),
    [
        (SWIN_TINY, (512, 512), 237.8),
        pytest.param(SWIN_SMALL, (512, 512), 261.5, marks=pytest.mark.full),
        pytest.param(SWIN_BASE, (512, 512), 300.2, marks=pytest.mark.full),
        pytest.param(SWIN_TINY, (512, 2048), 948, marks=pytest.mark.full),
        pytest.param(SWIN_SMALL, (512, 2048), 1041, marks=pytest.mark.full),
        pytest.param(SWIN_BASE, (512, 2048), 1192, marks=pytest.mark.full),
    ],
)
def test_upernet_multiplies_as_often_as_that_of_mmsegmentation(preset, size, giga):
    model = abstract_model(NetworkConfig(backbone=for_dense_tasks(preset, image_size=size), head=UPerNetHead()).make)
    images = jax.ShapeDtypeStruct((1, *size, 3), jnp.float32)
    counted = program(lambda params, images: nnx.merge(model.graph, params)(images), model.params, images)
    # All digits that are known.
    digits = 1 if isinstance(giga, float) else 0
    assert round(multiply_adds(counted) / 1e9, digits) == giga
