"""A decoder's receptive field is that of what it makes of the backbone's maps."""

import dataclasses
import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gauss_vit.analysis.erf import accumulate, batch_of, feature_grid
from gauss_vit.analysis.protocol import BMVC2023, PRE_NORM, RANDOM_PROJECTION
from gauss_vit.errors import ConfigError
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.inspect.network_features import DECODER, BoxScore, network_features, network_grid
from gauss_vit.tasks.detection import Detection
from tests.heads.detectors import HEAD, detector, images_of
from tests.heads.detectors import NETWORK as DETECTOR
from tests.heads.detectors import params_of as params_of_detector
from tests.models.built import build
from tests.networks import classifier
from tests.tiny_config import MODEL


@dataclass(frozen=True)
class Doubling:
    """A head that repeats every patch of the last block's map, each on 2 x 2 places."""

    is_centred: bool = False

    def make(self, backbone, *, key) -> "Doubled":
        del backbone, key
        return Doubled(self)


class Doubled(nnx.Module):
    def __init__(self, config: Doubling):
        self.scale = nnx.Param(jnp.float32(2))
        self.is_centred = config.is_centred

    def features(self, backbone, images):
        (last,) = backbone.maps(images, (2,))
        centred = last - jnp.mean(last, axis=-1, keepdims=True) if self.is_centred else last
        return self.scale[...] * jnp.repeat(jnp.repeat(centred, 2, axis=1), 2, axis=2)

    def __call__(self, backbone, images, *, key=None):
        del key
        return self.features(backbone, images)


NETWORK = NetworkConfig(backbone=MODEL, head=Doubling())
CENTRED = dataclasses.replace(NETWORK, head=Doubling(is_centred=True))


@functools.cache
def params_of(network: NetworkConfig):
    return nnx.to_pure_dict(nnx.state(build(network, jax.random.key(3))))


def images():
    return jnp.asarray(np.random.default_rng(0).normal(size=(2, 16, 32, 3)), jnp.float32)


def field(network, token, *, layer, protocol):
    features = network_features(network, params_of(network), layer=layer, protocol=protocol)
    return accumulate(features, [batch_of(images())], tokens=(token,), protocol=protocol).maps()[0]


def test_grid_is_that_of_the_decoded_map():
    assert network_grid(NETWORK, DECODER) == (4, 8)
    assert network_grid(NETWORK, 1) == network_grid(NETWORK, None) == (2, 4)
    features = network_features(NETWORK, params_of(NETWORK), layer=DECODER, protocol=BMVC2023)
    assert feature_grid(features, (16, 32)) == (4, 8)


def test_place_of_a_repeated_patch_has_the_field_of_the_patch():
    decoded = field(NETWORK, (3, 2), layer=DECODER, protocol=BMVC2023)
    patch = field(NETWORK, (1, 1), layer=2, protocol=BMVC2023)
    np.testing.assert_allclose(decoded.values, patch.values, rtol=1e-4, atol=1e-9)
    assert decoded.magnitude == pytest.approx(2 * patch.magnitude, rel=1e-5)


def test_map_whose_channels_have_a_constant_mean_is_refused():
    with pytest.raises(ConfigError, match="degenerate") as refused:
        field(CENTRED, (0, 0), layer=DECODER, protocol=BMVC2023)
    assert refused.value.code == "ERF-DEGENERATE"
    assert field(CENTRED, (0, 0), layer=DECODER, protocol=RANDOM_PROJECTION).values.sum() == pytest.approx(1)


def test_levels_are_named_after_the_distance_of_their_places():
    assert [network_grid(DETECTOR, f"p{level}") for level in (2, 3, 4)] == [(16, 24), (8, 12), (4, 6)]
    with pytest.raises(ConfigError, match="no level p5") as refused:
        network_grid(DETECTOR, "p5")
    assert "p2, p3, p4" in refused.value.do


@pytest.mark.full
def test_field_of_a_score_is_its_gradient_at_the_pixels():
    box, params, photo = BoxScore(task=Detection(head=HEAD), index=1), params_of_detector(DETECTOR), images_of(1)
    features = network_features(DETECTOR, params, layer=box, protocol=BMVC2023)
    assert network_grid(DETECTOR, box) == (64, 96)
    found = accumulate(features, [batch_of(photo)], tokens=((10, 20),), protocol=BMVC2023).maps()[0]

    def score(images: jax.Array) -> jax.Array:
        return detector()(images).objects.score[0, 1]

    gradient = np.maximum(np.mean(jax.jit(jax.grad(score))(photo)[0], axis=-1), 0)
    np.testing.assert_allclose(found.values, gradient / gradient.sum(), rtol=1e-3, atol=1e-8)


def test_decoder_has_no_residual_stream_and_a_classifier_no_decoder():
    with pytest.raises(ConfigError, match="protocol pre_norm measures a residual stream"):
        network_features(NETWORK, params_of(NETWORK), layer=DECODER, protocol=PRE_NORM)
    with pytest.raises(ConfigError, match="LinearHead has no decoder"):
        network_grid(classifier(MODEL), DECODER)
