"""The attention of models on image files, against their own weights."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from PIL import Image

from gauss_vit.analysis.attention import mean_distance, places_on_grid, rollout
from gauss_vit.data.images.image import load_image, to_array
from gauss_vit.errors import ConfigError
from gauss_vit.inspect.attention import read_attention, window_groups
from gauss_vit.models.swin import SwinConfig
from gauss_vit.position import Position
from tests.named_models import named_of
from tests.tiny_config import MODEL

CLASS = dataclasses.replace(MODEL, class_token=True, pool="token", norm="before_pool")
SWIN = SwinConfig(
    image_size=(16, 24),
    patch_size=(2, 2),
    width=8,
    depths=(3, 1),
    num_heads=(1, 2),
    window=(4, 4),
    biases="all",
    similarity="product",
    norm="before",
    position=Position(),
)


@pytest.fixture
def paths(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 40, 60, 3), dtype=np.uint8)
    for index, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{index}.png")
    return tuple(sorted(tmp_path.iterdir()))


def weights_of(named, paths):
    images = [to_array(named.transform(load_image(path), size=named.config.image_size)) for path in paths]
    batch = named.normalization(jnp.asarray(np.stack(images)))
    model = nnx.merge(named.graph, named.params).backbone
    return [part.attention_weights for part in jax.jit(model.intermediates)(batch)]


def test_numbers_are_means_over_images_of_the_models_weights(paths):
    named = named_of(CLASS)
    found = read_attention(named, paths, token=(1, 2))
    (weights,) = weights_of(named, paths)
    places = places_on_grid((2, 4), prefix_tokens=1)
    expected = np.asarray(mean_distance(weights, places)).mean(axis=1)
    np.testing.assert_allclose(np.stack([layer.distance for layer in found.layers]), expected, rtol=1e-4)
    np.testing.assert_allclose(np.stack([layer.distance_px for layer in found.layers]), 8 * expected, rtol=1e-4)
    rows = np.asarray(rollout(weights))
    np.testing.assert_allclose(found.rollout, rows[:, 1 + 6, 1:].reshape(4, 2, 4), rtol=1e-4)
    np.testing.assert_allclose(found.class_rollout, rows[:, 0, 1:].reshape(4, 2, 4), rtol=1e-4)
    assert found.num_images == 4 and found.photos.shape == (3, 16, 32, 3)


def test_no_class_token_has_no_rollout_of_its_own(paths):
    found = read_attention(named_of(MODEL), paths[:1], token=(0, 0))
    assert found.class_rollout is None and found.rollout.shape == (1, 2, 4)
    assert found.layers[0].even_entropy == pytest.approx(np.log(8), rel=1e-5)


def test_the_layers_of_swin_are_in_order_with_pixels_of_their_stage(paths):
    found = read_attention(named_of(SWIN), paths[:2], token=(0, 0))
    assert [layer.patch_size for layer in found.layers] == [(2, 2)] * 3 + [(4, 4)]
    assert [layer.distance.size for layer in found.layers] == [1, 1, 1, 2]
    assert found.rollout is None
    # Fresh attention is all but even, and shifted windows at the border meet fewer patches.
    for layer in found.layers:
        np.testing.assert_allclose(layer.distance_px, layer.even_distance_px, rtol=0.05)
    assert found.layers[1].even_distance_px < found.layers[0].even_distance_px == found.layers[2].even_distance_px


def test_every_layer_is_in_one_group():
    numbers = [
        group.stage.first + layer
        for group in window_groups(SWIN.stages())
        for layer in range(group.offset, group.stage.depth, group.period)
    ]
    assert sorted(numbers) == [0, 1, 2, 3]


def test_talking_heads_and_no_images_are_refused(paths):
    mixed = dataclasses.replace(MODEL, mixes_heads=True)
    with pytest.raises(ConfigError, match="talking heads"):
        read_attention(named_of(mixed), paths, token=(0, 0))
    with pytest.raises(ConfigError, match="no images"):
        read_attention(named_of(MODEL), (), token=(0, 0))
