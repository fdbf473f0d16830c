"""A backbone with a task's head, as it is trained, stored and loaded."""

from dataclasses import Field, dataclass
from typing import ClassVar, Protocol, runtime_checkable

import jax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from gauss_vit.models.backbone import Backbone, BackboneConfig


@runtime_checkable
class Head(Protocol):
    """A module that computes outputs from a backbone's pooled features or feature maps."""

    def __call__(
        self, backbone: Backbone, images: Float[Array, "batch height width 3"], *, key: PRNGKeyArray | None = None
    ) -> PyTree:
        """Computes the outputs for normalised images; a key enables dropout, in the backbone too."""
        ...


@runtime_checkable
class TargetReader(Protocol):
    """A head that also reads the targets: the sizes of padded images, and in training the objects that it samples."""

    def with_targets(
        self,
        backbone: Backbone,
        images: Float[Array, "batch height width 3"],
        targets: PyTree,
        *,
        key: PRNGKeyArray | None = None,
    ) -> PyTree:
        """Computes the outputs for normalised images with the targets of their batch; a key is that of training.

        Without a key only what is known of an image that nobody labelled may be read, such as its size.
        """
        ...


@runtime_checkable
class Decoder(Protocol):
    """A head that fuses the maps of a backbone into one, from which it classifies every place."""

    def features(
        self, backbone: Backbone, images: Float[Array, "batch height width 3"]
    ) -> Float[Array, "batch rows columns channels"]:
        """Computes the map that the classifier reads, without dropout."""
        ...


@runtime_checkable
class PyramidHead(Protocol):
    """A head that predicts from maps of several resolutions, which it makes of those of a backbone."""

    def maps(
        self, backbone: Backbone, images: Float[Array, "batch height width 3"]
    ) -> tuple[Float[Array, "batch _ _ _"], ...]:
        """Computes the maps, the finest first, without dropout."""
        ...


@runtime_checkable
class HeadConfig(Protocol):
    """Config of a head, a frozen value."""

    def make(self, backbone: BackboneConfig, *, key: PRNGKeyArray) -> Head:
        """Builds the head for a backbone, with random parameters."""
        ...


@runtime_checkable
class ClassHeadConfig(HeadConfig, Protocol):
    """Config of a head with an output for each class, as a frozen dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field]]

    @property
    def num_classes(self) -> int | None:
        """Number of classes; None takes it from the data when a run starts, which stores it."""
        ...


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Config of a backbone and a head, which `models.construct` builds.

    Attributes:
      backbone: Config of the backbone.
      head: Config of the head.
    """

    backbone: BackboneConfig
    head: HeadConfig

    def make(self, key: PRNGKeyArray) -> "Network":
        """Builds the network, with random parameters."""
        return Network(self, key=key)


class Network(nnx.Module):
    """A backbone and a head, whose parameters are `backbone.*` and `head.*`.

    The backbone draws from the keys 0 to `num_keys` - 1 of a split, the head from the next one.
    """

    def __init__(self, config: NetworkConfig, *, key: PRNGKeyArray):
        num_keys = config.backbone.num_keys
        self.backbone: Backbone = config.backbone.make(key)
        self.head: Head = config.head.make(config.backbone, key=jax.random.split(key, num_keys + 1)[num_keys])

    def __call__(
        self,
        images: Float[Array, "batch height width 3"],
        *,
        key: PRNGKeyArray | None = None,
        targets: PyTree = None,
    ) -> PyTree:
        """Computes the head's outputs for normalised images.

        Args:
          images: Images.
          key: Enables dropout and stochastic depth.
          targets: Targets of the batch, for a head that reads them; None takes every image as whole and unlabelled.
        """
        if targets is not None and isinstance(self.head, TargetReader):
            return self.head.with_targets(self.backbone, images, targets, key=key)
        return self.head(self.backbone, images, key=key)
