"""A network is a backbone and a head, each under its own path and drawn from its own keys."""

from dataclasses import dataclass

import chex
import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from gauss_vit.heads.network import Head, HeadConfig, NetworkConfig, TargetReader
from gauss_vit.models.construct import abstract
from gauss_vit.tree import flatten_paths
from tests.models import test_swin, test_vit
from tests.models.built import build
from tests.networks import classifier, network_params

IMAGES = jnp.zeros((1, 8, 8, 3))
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


class SeesTargets(nnx.Module):
    """A head that tells whether it was given targets, and whether in training."""

    def __call__(self, backbone, images, *, key=None):
        return ("nothing", key is not None)

    def with_targets(self, backbone, images, targets, *, key=None):
        return (targets, key is not None)


@dataclass(frozen=True, kw_only=True)
class SeesTargetsHead:
    def make(self, backbone, *, key):
        return SeesTargets()


def test_targets_reach_the_head_that_reads_them_and_no_other():
    reading = build(NetworkConfig(backbone=test_vit.PLAIN, head=SeesTargetsHead()), jax.random.key(0))
    assert reading(IMAGES, targets="boxes", key=jax.random.key(1)) == ("boxes", True)
    assert reading(IMAGES, targets="sizes") == ("sizes", False)
    assert reading(IMAGES) == ("nothing", False)
    assert not isinstance(build(classifier(test_vit.PLAIN), jax.random.key(0)).head, TargetReader)


def test_the_linear_head_is_a_head():
    network = classifier(test_vit.PLAIN)
    assert isinstance(network.head, HeadConfig)
    assert isinstance(build(network, jax.random.key(0)).head, Head)
