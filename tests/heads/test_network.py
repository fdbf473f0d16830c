"""A network is a backbone and a head, each under its own path and drawn from its own keys."""

import chex
import jax
import pytest
from flax import nnx

from gauss_vit.heads.network import Head, HeadConfig
from gauss_vit.models.construct import abstract
from gauss_vit.tree import flatten_paths
from tests.models import test_swin, test_vit
from tests.models.built import build
from tests.networks import classifier, network_params

BACKBONES = {"vit": test_vit.RELATIVE, "swin": test_swin.V1}


@pytest.mark.parametrize("backbone", BACKBONES.values(), ids=BACKBONES)
def test_parameters_are_those_of_backbone_and_head(backbone):
    paths = set(flatten_paths(abstract(classifier(backbone))[1]))
    assert {path for path in paths if path.startswith("head.")} == {"head.linear.kernel", "head.linear.bias"}
    assert {path.removeprefix("backbone.") for path in paths if path.startswith("backbone.")} == set(
        flatten_paths(abstract(backbone)[1])
    )


@pytest.mark.parametrize("backbone", BACKBONES.values(), ids=BACKBONES)
def test_a_backbone_draws_the_same_with_and_without_a_head(backbone):
    alone = nnx.to_pure_dict(nnx.state(build(backbone, jax.random.key(3))))
    chex.assert_trees_all_equal(network_params(backbone, seed=3)["backbone"], alone)


def test_a_head_draws_from_the_key_after_those_of_its_backbone():
    backbone = test_vit.PLAIN
    key = jax.random.split(jax.random.key(3), backbone.num_keys + 1)[backbone.num_keys]
    head = nnx.state(classifier(backbone).head.make(backbone, key=key))
    chex.assert_trees_all_equal(network_params(backbone, seed=3)["head"], nnx.to_pure_dict(head))


def test_the_linear_head_is_a_head():
    network = classifier(test_vit.PLAIN)
    assert isinstance(network.head, HeadConfig)
    assert isinstance(build(network, jax.random.key(0)).head, Head)
