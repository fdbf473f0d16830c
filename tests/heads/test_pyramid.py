"""Pyramids: the normalised maps of all stages, or four made of one, whatever the backbone's class."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.heads.pyramid import halve, make_pyramid
from gauss_vit.models.stage import Stage
from tests.models import test_swin, test_toy_backbone, test_vit
from tests.models.built import build

KEY = jax.random.key(0)
BACKBONES = {"vit": test_vit.RELATIVE, "swin": test_swin.V1, "toy": test_toy_backbone.CONFIG}


@jax.jit
def maps_of(pyramid, backbone, images):
    return pyramid(backbone, images)


@pytest.mark.parametrize("config", BACKBONES.values(), ids=BACKBONES)
def test_maps_have_the_widths_that_are_announced_and_shrink_by_two(config):
    pyramid, backbone = make_pyramid(config, key=KEY), build(config, KEY)
    maps = maps_of(pyramid, backbone, jnp.ones((2, *config.image_size, 3), jnp.float32))
    assert tuple(each.shape[3] for each in maps) == pyramid.widths
    for finer, coarser in itertools.pairwise(maps):
        assert coarser.shape[1:3] == tuple(-(-side // 2) for side in finer.shape[1:3])


def test_each_map_of_a_stage_is_normalised_and_the_last_by_the_backbone():
    config = test_swin.V1
    pyramid, backbone = make_pyramid(config, key=KEY), build(config, KEY)
    images = test_swin.images_for(config)
    first, last = maps_of(pyramid, backbone, images)
    np.testing.assert_allclose(np.mean(first, axis=-1), 0, atol=1e-5)
    np.testing.assert_allclose(np.std(first, axis=-1), 1, rtol=1e-3)
    np.testing.assert_allclose(last, jax.jit(backbone.features)(images).last, rtol=0, atol=1e-5)


def test_the_only_map_of_a_stage_is_the_third():
    config = test_toy_backbone.CONFIG
    pyramid, backbone = make_pyramid(config, key=KEY), build(config, KEY)
    images = test_toy_backbone.images()
    finest, double, same, half = maps_of(pyramid, backbone, images)
    np.testing.assert_allclose(same, backbone.features(images).last, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(half, same.reshape(2, 2, 2, 3, 2, 8).max(axis=(2, 4)))
    assert (finest.shape, double.shape) == ((2, 16, 24, 2), (2, 8, 12, 4))


def test_halving_takes_the_largest_there_is():
    maps = -jnp.arange(1, 16, dtype=jnp.float32).reshape(1, 3, 5, 1)
    np.testing.assert_array_equal(halve(maps)[0, :, :, 0], [[-1, -3, -5], [-11, -13, -15]])


def test_a_width_that_cannot_be_quartered_is_refused():
    with pytest.raises(ConfigError, match="divisible by 4, got 6"):
        make_pyramid(test_toy_backbone.MixerConfig(width=6), key=KEY)


class TwoStages(test_toy_backbone.MixerConfig):
    """A config whose stages have no attention to tell their width."""

    def stages(self):
        (stage,) = super().stages()
        return stage, Stage(path="backbone.more", first=2, depth=2, grid=self.grid, patch_size=self.patch_size)


def test_a_stage_that_does_not_say_its_width_is_refused():
    with pytest.raises(ConfigError, match="does not say its width"):
        make_pyramid(TwoStages(), key=KEY)
