"""A model up to a block is the model's own stream there, forward and backward, and one program serves all blocks."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gauss_vit.models.compute import Compute
from gauss_vit.models.swin import SwinConfig
from gauss_vit.position.position import Position
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.position.terms.relative import RelativeTable
from tests.models.built import build
from tests.tiny_config import MODEL

VIT = dataclasses.replace(MODEL, depth=3, class_token=True, pool="token", norm="before_pool")
SHARED = dataclasses.replace(
    MODEL,
    depth=3,
    compute=Compute(dtype="bfloat16"),
    position=Position(terms=(Gaussian(sigma=1.0),), shared=(RelativeTable(),)),
)
# The first stage is of odd depth, and its second block is shifted.
SWIN = SwinConfig(
    image_size=(16, 32),
    patch_size=(2, 2),
    width=8,
    depths=(3, 2),
    num_heads=(1, 2),
    window=(4, 4),
    biases="all",
    similarity="product",
    norm="before",
    position=Position(terms=(RelativeTable(),)),
)
TOLERANCE = {"rtol": 1e-5, "atol": 1e-6}


@functools.cache
def model_of(config):
    return build(config, jax.random.key(1))


def images(num_images=2):
    return jnp.asarray(np.random.default_rng(0).normal(size=(num_images, 16, 32, 3)), jnp.float32)


def stream_behind(config, layer, pictures):
    """Reads the collected streams: an independent way to the same map."""
    model = model_of(config)
    last, entering = model.scan_blocks(model.embed(pictures), collect=True)
    tokens = [*entering[1:], last][layer - 1][:, config.prefix_tokens :]
    return tokens.reshape(-1, *config.grid, config.width)


@functools.cache
def collected(layer):
    """The map behind a block of the collected stream, and the gradient of its sum."""
    found, pull_back = jax.vjp(jax.jit(functools.partial(stream_behind, VIT, layer)), images())
    return found, pull_back(jnp.ones_like(found))[0]


@pytest.mark.parametrize("config", [VIT, dataclasses.replace(VIT, compute=Compute(unroll=3, remat="full"))])
def test_map_and_gradient_are_those_of_the_collected_stream_by_one_program(config):
    model = model_of(config)
    graph, params = nnx.split(model)
    num_traces = 0

    @jax.jit
    def map_and_gradient(params, pictures, num_blocks):
        nonlocal num_traces
        num_traces += 1
        found, pull_back = jax.vjp(lambda given: nnx.merge(graph, params).block_map(given, num_blocks), pictures)
        return found, pull_back(jnp.ones_like(found))[0]

    for layer in (1, 2, 3):
        found, gradient = map_and_gradient(params, images(), jnp.int32(layer))
        expected, expected_gradient = collected(layer)
        np.testing.assert_allclose(found, expected, **TOLERANCE)
        np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-4, atol=1e-5)
    assert num_traces == 1


@pytest.mark.parametrize("layer", [1, 3])
def test_one_patch_is_a_patch_of_the_map(layer):
    position = jnp.array([1, 2], jnp.int32)
    model, num_blocks = model_of(VIT), jnp.int32(layer)

    @jax.jit
    def one_patch(images):
        return model.block_token(model.before_block(images, num_blocks), position, num_blocks=num_blocks)

    np.testing.assert_allclose(one_patch(images()), collected(layer)[0][:, 1, 2], **TOLERANCE)


def test_shared_bias_in_half_precision_is_that_of_the_model():
    found = jax.jit(model_of(SHARED).block_map)(images(1), jnp.int32(2))
    assert found.dtype == jnp.bfloat16
    expected = jax.jit(functools.partial(stream_behind, SHARED, 2))(images(1)).astype(jnp.float32)
    # Two blocks in bfloat16, whose sums may be taken in another order.
    np.testing.assert_allclose(found.astype(jnp.float32), expected, rtol=2e-2, atol=2e-2)


def test_blocks_of_a_stage_are_the_models_by_one_program_a_stage():
    graph, params = nnx.split(model_of(SWIN))
    stages = jax.jit(model_of(SWIN).intermediates)(images())
    num_traces = 0

    @functools.partial(jax.jit, static_argnames="stage")
    def map_of(params, num_blocks, stage):
        nonlocal num_traces
        num_traces += 1
        return nnx.merge(graph, params).block_map(images(), num_blocks, stage=stage)

    for stage, depth in enumerate(SWIN.depths):
        for number in range(1, depth + 1):
            found = map_of(params, jnp.int32(number), stage)
            assert found.shape[1:3] == SWIN.grid_of_stage(stage)
            expected = stages[stage].tokens[number - 1]
            np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-4, atol=1e-5)
    assert num_traces == 2
