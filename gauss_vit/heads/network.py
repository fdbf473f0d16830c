"""A backbone with a task's head: what is trained, stored and loaded."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import jax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from gauss_vit.models.backbone import Backbone, BackboneConfig


@runtime_checkable
class Head(Protocol):
    """A module that reads what it needs of a backbone: pooled features, or maps at several depths."""

    def __call__(
        self, backbone: Backbone, images: Float[Array, "batch height width 3"], *, key: PRNGKeyArray | None = None
    ) -> PyTree:
        """Computes the outputs of normalised images; a key turns dropout on, in the backbone too."""
        ...


@runtime_checkable
class HeadConfig(Protocol):
    """A head as a frozen value."""

    def make(self, backbone: BackboneConfig, *, key: PRNGKeyArray) -> Head:
        """Draws the parameters of the head for a backbone."""
        ...


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """A backbone and a head as one value, which `models.construct` builds.

    Attributes:
      backbone: Config of the backbone.
      head: Config of the head.
    """

    backbone: BackboneConfig
    head: HeadConfig

    def make(self, key: PRNGKeyArray) -> "Network":
        """Draws the parameters of the network."""
        return Network(self, key=key)


class Network(nnx.Module):
    """A backbone and a head, whose parameters are `backbone.*` and `head.*`.

    The backbone draws from the keys 0 to `num_keys` - 1 of a split, the head from the next one.
    """

    def __init__(self, config: NetworkConfig, *, key: PRNGKeyArray):
        num_keys = config.backbone.num_keys
        self.backbone: Backbone = config.backbone.make(key)
        self.head: Head = config.head.make(config.backbone, key=jax.random.split(key, num_keys + 1)[num_keys])

    def __call__(self, images: Float[Array, "batch height width 3"], *, key: PRNGKeyArray | None = None) -> PyTree:
        """Computes the head's outputs of normalised images; a key turns dropout and stochastic depth on."""
        return self.head(self.backbone, images, key=key)
