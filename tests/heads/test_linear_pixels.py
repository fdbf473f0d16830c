"""The linear classifier of patches reads the backbone's last features after its norm."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.heads.linear_pixels import LinearPixelHead
from gauss_vit.heads.network import Decoder, NetworkConfig
from tests.models import test_swin, test_vit
from tests.models.built import build

BACKBONES = {"vit": test_vit.RELATIVE, "swin": test_swin.V1}


def images_for(config, batch=2):
    return jnp.asarray(np.random.default_rng(0).normal(size=(batch, *config.image_size, 3)), jnp.float32)


@pytest.mark.parametrize(("backbone", "batch"), list(zip(BACKBONES.values(), (3, 1), strict=True)), ids=BACKBONES)
def test_logits_are_a_linear_map_of_the_normalised_features(backbone, batch):
    network = build(NetworkConfig(backbone=backbone, head=LinearPixelHead(num_classes=4)), jax.random.key(0))
    images = images_for(backbone, batch)

    @jax.jit
    def found(images):
        (last,) = network.backbone.maps(images, (backbone.depth,))
        return network.backbone.norm(last), network(images), network.head.features(network.backbone, images)

    maps, outputs, features = found(images)
    classifier = network.head.classifier
    kernel, bias = (np.asarray(leaf[...], np.float64) for leaf in (classifier.kernel, classifier.bias))
    # Sums of 16 to 64 products of order 0.01 in float32.
    np.testing.assert_allclose(outputs.logits, np.asarray(maps, np.float64) @ kernel[0, 0] + bias, atol=1e-6)
    np.testing.assert_array_equal(features, maps)
    assert outputs.auxiliary is None
    assert isinstance(network.head, Decoder)


@pytest.mark.parametrize("num_classes", [0, -1])
def test_head_without_classes_is_refused(num_classes: int):
    with pytest.raises(ConfigError, match="num_classes must be at least 1"):
        LinearPixelHead(num_classes=num_classes)


def test_number_of_classes_that_is_not_known_yet_is_no_network():
    with pytest.raises(ConfigError, match="to be taken from the data"):
        LinearPixelHead(num_classes=None).make(test_vit.RELATIVE, key=jax.random.key(0))
