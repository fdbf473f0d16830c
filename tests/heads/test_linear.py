"""The linear classifier reads pooled features, in float32 whatever the backbone's type."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gauss_vit.errors import ConfigError
from gauss_vit.heads.linear import LinearHead
from gauss_vit.models.compute import Compute
from gauss_vit.models.construct import abstract
from tests.models import test_swin, test_vit
from tests.models.built import build
from tests.networks import classifier

BACKBONES = {"vit": test_vit.RELATIVE, "swin": test_swin.V1}
KEY = jax.random.key(0)


def images_for(config, batch=2):
    return jnp.asarray(np.random.default_rng(0).normal(size=(batch, *config.image_size, 3)), jnp.float32)


@pytest.mark.parametrize(("backbone", "batch"), list(zip(BACKBONES.values(), (3, 1), strict=True)), ids=BACKBONES)
def test_logits_are_a_linear_map_of_the_pooled_features(backbone, batch):
    network, images = build(classifier(backbone, num_classes=7), KEY), images_for(backbone, batch)
    kernel, bias = network.head.linear.arrays()
    pooled, logits = jax.jit(lambda images: (network.backbone.features(images).pooled, network(images)))(images)
    expected = np.asarray(pooled, np.float64) @ np.asarray(kernel, np.float64) + np.asarray(bias, np.float64)
    assert logits.shape == (batch, 7)
    # Sums of 16 products of order 1 in float32.
    np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_logits_of_a_half_precision_backbone_are_float32():
    half = dataclasses.replace(test_vit.RELATIVE, compute=Compute(dtype="bfloat16"))
    graph, params = abstract(classifier(half))
    logits = jax.eval_shape(lambda params, images: nnx.merge(graph, params)(images), params, images_for(half))
    assert logits.dtype == jnp.float32


def test_dropout_is_off_without_a_key():
    network = build(classifier(test_vit.RELATIVE), KEY)
    graph, _ = abstract(classifier(test_vit.RELATIVE, dropout=0.5))
    quiet, noisy = jax.jit(network), jax.jit(nnx.merge(graph, nnx.to_pure_dict(nnx.state(network))))
    images = images_for(test_vit.RELATIVE)
    np.testing.assert_array_equal(noisy(images), quiet(images))
    key = jax.random.key(1)
    assert not np.allclose(noisy(images, key=key), quiet(images, key=key))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"num_classes": 0}, "num_classes must be at least 1"), ({"dropout": 1.0}, r"dropout must be in \[0, 1\)")],
)
def test_values_out_of_range_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        LinearHead(**change)
