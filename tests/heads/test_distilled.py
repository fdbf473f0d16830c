"""The head of distilled DeiT is the mean of two linear maps, one of each token."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.heads.distilled import DistilledHead
from gauss_vit.heads.linear import LinearHead
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.heads.stock import stock_head
from gauss_vit.models.construct import build
from tests.models.test_vit import PLAIN

TWO_TOKENS = dataclasses.replace(PLAIN, distillation_token=True)
KEY = jax.random.key(0)


@pytest.mark.parametrize("batch", [1, 3])
def test_logits_are_the_mean_of_both_classifiers(batch):
    network = build(NetworkConfig(backbone=TWO_TOKENS, head=DistilledHead(num_classes=7)), KEY)
    images = jnp.asarray(np.random.default_rng(0).normal(size=(batch, *PLAIN.image_size, 3)), jnp.float32)
    tokens = np.asarray(jax.jit(network.backbone.features)(images).prefix, np.float64)
    linears = (network.head.class_linear, network.head.distillation_linear)
    maps = [tuple(np.asarray(array, np.float64) for array in linear.arrays()) for linear in linears]
    expected = sum(tokens[:, index] @ kernel + bias for index, (kernel, bias) in enumerate(maps)) / 2
    # Sums of 16 products of order 1 in float32.
    np.testing.assert_allclose(jax.jit(network)(images), expected, atol=1e-5)
    assert not np.allclose(*(linear.arrays()[0] for linear in linears))


def test_head_of_a_preset_follows_from_its_tokens():
    assert stock_head(TWO_TOKENS, 7) == DistilledHead(num_classes=7)
    assert stock_head(PLAIN) == LinearHead(num_classes=1000)


def test_backbone_without_the_token_is_refused():
    with pytest.raises(ConfigError, match="needs a backbone with a distillation token"):
        DistilledHead().make(PLAIN, key=KEY)
    with pytest.raises(ConfigError, match="num_classes must be at least 1"):
        DistilledHead(num_classes=0)
