"""Maps at any depth are the streams behind the blocks."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.models.backbone import Backbone, BlockMaps, TokenMaps
from gauss_vit.models.construct import build
from tests.models import test_swin, test_vit

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
    (last,) = model.maps(images, (config.depth,), key=key)
    np.testing.assert_allclose(last, model.features(images, key=key).pre_norm, rtol=1e-5, atol=1e-5)
    assert not np.allclose(last, model.maps(images, (config.depth,))[0])


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_blocks_that_are_not_there_are_refused(config):
    model, images = build(config, KEY), images_for(config.image_size)
    with pytest.raises(ConfigError, match="no layer 9"):
        model.maps(images, (1, 9))


def test_protocols_say_what_a_backbone_can_do():
    vit, swin = build(test_vit.RELATIVE, KEY), build(test_swin.V1, KEY)
    assert all(isinstance(model, Backbone) and isinstance(model, BlockMaps) for model in (vit, swin))
    assert isinstance(vit, TokenMaps) and not isinstance(swin, TokenMaps)
