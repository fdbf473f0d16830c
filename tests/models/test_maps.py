"""Maps at any depth are the streams behind the blocks, and Swin's are MMDetection's at any image size."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gauss_vit.errors import ConfigError
from gauss_vit.models.backbone import Backbone, BlockMaps, TokenMaps
from tests.models import test_swin, test_vit
from tests.models.built import build

CONFIGS = {"vit": test_vit.RELATIVE, "class token": test_vit.PLAIN, "swin": test_swin.V1}
KEY = jax.random.key(0)


def images_for(size, batch=2):
    return jnp.asarray(np.random.default_rng(0).normal(size=(batch, *size, 3)), jnp.float32)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_maps_are_the_streams_behind_the_blocks(config):
    model, images = build(config, KEY), images_for(config.image_size)
    layers = tuple(range(config.depth, 0, -1))
    maps = jax.jit(lambda images: model.maps(images, layers))(images)
    streams = [tokens for stage in jax.jit(model.intermediates)(images) for tokens in stage.tokens]
    grids = [stage.grid for stage in config.stages() for _ in range(stage.depth)]
    prefix_tokens = config.stages()[0].prefix_tokens
    for layer, found in zip(layers, maps, strict=True):
        expected = streams[layer - 1][:, prefix_tokens:]
        assert found.shape[1:3] == grids[layer - 1]
        np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_the_last_map_is_the_end_before_its_normalisation(config):
    model, images = build(config, KEY), images_for(config.image_size, batch=1)
    (last,) = jax.jit(lambda images: model.maps(images, (config.depth,)))(images)
    np.testing.assert_allclose(last, jax.jit(model.features)(images).pre_norm, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_maps_and_features_drop_the_same_under_one_key(config):
    noisy = dataclasses.replace(config, stochastic_depth=0.5, projection_dropout=0.2)
    model, images, key = build(noisy, KEY), images_for(config.image_size), jax.random.key(1)
    last_map = jax.jit(lambda images, key: model.maps(images, (config.depth,), key=key)[0])
    last = last_map(images, key)
    np.testing.assert_allclose(last, jax.jit(model.features)(images, key=key).pre_norm, rtol=1e-5, atol=1e-5)
    assert not np.allclose(last, last_map(images, None))


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_blocks_that_are_not_there_are_refused(config):
    model, images = build(config, KEY), images_for(config.image_size)
    with pytest.raises(ConfigError, match="no layer 9"):
        model.maps(images, (1, 9))


def test_protocols_say_what_a_backbone_can_do():
    vit, swin = build(test_vit.RELATIVE, KEY), build(test_swin.V1, KEY)
    assert all(isinstance(model, Backbone) and isinstance(model, BlockMaps) for model in (vit, swin))
    assert isinstance(vit, TokenMaps) and not isinstance(swin, TokenMaps)


def mmdetection_attention(block, inputs, *, window, shift):
    """Attention in windows as `ShiftWindowMSA` computes it: pad to whole windows, roll, mask by regions, undo."""
    batch, height, width, channels = inputs.shape
    pad_bottom, pad_right = (-height) % window[0], (-width) % window[1]
    padded = np.pad(inputs, ((0, 0), (0, pad_bottom), (0, pad_right), (0, 0)))
    rows, columns = padded.shape[1:3]
    rolled = np.roll(padded, (-shift[0], -shift[1]), axis=(1, 2))
    regions, count = np.zeros((rows, columns), np.int32), 0
    for vertical in (slice(0, -window[0]), slice(-window[0], -shift[0]), slice(-shift[0], None)):
        for horizontal in (slice(0, -window[1]), slice(-window[1], -shift[1]), slice(-shift[1], None)):
            regions[vertical, horizontal] = count
            count += 1
    mixed, attention = np.zeros_like(rolled), jax.jit(block.attention)
    for top in range(0, rows, window[0]):
        for left in range(0, columns, window[1]):
            here = (slice(top, top + window[0]), slice(left, left + window[1]))
            region = regions[here].reshape(-1)
            apart = np.where(region[:, None] != region[None, :], np.float32(-100), np.float32(0))
            tokens = jnp.asarray(rolled[:, here[0], here[1]].reshape(batch, -1, channels))
            outputs = attention(tokens, mask=jnp.asarray(apart[None]))
            mixed[:, here[0], here[1]] = np.asarray(outputs).reshape(batch, *window, channels)
    return np.roll(mixed, shift, axis=(1, 2))[:, :height, :width]


@pytest.mark.parametrize("size", [(12, 20), (4, 6), (18, 26)])
def test_shifted_blocks_with_fixed_windows_are_mmdetections(size):
    """Also on maps of 2 x 3 and 9 x 13 patches, smaller than a window of 4 x 4 and not tiled by it."""
    config = dataclasses.replace(test_swin.V1, windows="fixed")
    model, images = build(config, KEY), images_for(size, batch=1)
    before, after = jax.jit(lambda images: model.maps(images, (1, 2)))(images)
    graph, stacked = nnx.split(model.stages["0"].blocks)
    block = nnx.merge(graph, jax.tree.map(lambda leaf: leaf[1], stacked))
    tokens = before.reshape(1, -1, before.shape[-1])
    inputs = np.asarray(jax.jit(block.norm1)(tokens)).reshape(before.shape)
    mixed = mmdetection_attention(block, inputs, window=(4, 4), shift=(2, 2)).reshape(tokens.shape)
    middle = tokens + jnp.asarray(mixed)
    expected = jax.jit(lambda middle: middle + block.mlp(block.norm2(middle)))(middle).reshape(after.shape)
    np.testing.assert_allclose(after, expected, rtol=1e-5, atol=1e-5)


def test_fixed_windows_take_images_of_any_size():
    model = build(dataclasses.replace(test_swin.V1, windows="fixed"), KEY)
    first, last = jax.eval_shape(lambda images: model.maps(images, (2, 5)), images_for((26, 18)))
    assert first.shape == (2, 13, 9, 8)
    assert last.shape == (2, 7, 5, 16)
