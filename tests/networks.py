"""Backbones with a linear classifier, and their parameters, for tests."""

import jax
from flax import nnx

from gauss_vit.heads.linear import LinearHead
from gauss_vit.heads.network import NetworkConfig
from tests.models.built import build


def classifier(backbone, num_classes=5, dropout=0.0):
    """A backbone with a linear head, as a value."""
    return NetworkConfig(backbone=backbone, head=LinearHead(num_classes=num_classes, dropout=dropout))


def network_params(backbone, seed=0, num_classes=5):
    """Drawn parameters of a backbone with a linear head."""
    return nnx.to_pure_dict(nnx.state(build(classifier(backbone, num_classes), jax.random.key(seed))))
