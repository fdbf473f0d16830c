"""What heads, analyses and training ask of a backbone."""

from typing import Protocol, runtime_checkable

from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.models.features import AttentionInputs, Features, Intermediates
from gauss_vit.models.layers import Start
from gauss_vit.ops.grid import Grid


@runtime_checkable
class Backbone(Protocol):
    """What every backbone computes of images; `key=None` means inference."""

    def features(self, images: Float[Array, "batch height width 3"], *, key: PRNGKeyArray | None = None) -> Features:
        """Computes the feature maps at the end of the backbone."""
        ...

    def intermediates(self, images: Float[Array, "batch height width 3"]) -> tuple[Intermediates, ...]:
        """Computes what every block does, blocks of equal shape together and in order."""
        ...

    def attention_inputs(self, images: Float[Array, "batch height width 3"]) -> tuple[AttentionInputs, ...]:
        """Computes what enters every attention layer, layers of equal shape together."""
        ...


@runtime_checkable
class BackboneConfig(Protocol):
    """A backbone as a frozen value."""

    @property
    def image_size(self) -> tuple[int, int]:
        """The (height, width) of images in pixels."""
        ...

    @property
    def grid(self) -> Grid:
        """The (height, width) of the last map, in patches."""
        ...

    @property
    def num_features(self) -> int:
        """Channels of the pooled features."""
        ...

    @property
    def num_keys(self) -> int:
        """Number of keys that `make` splits its key into; a head draws from the next one."""
        ...

    @property
    def dense_start(self) -> Start:
        """Initialiser of dense layers, those of a head included."""
        ...

    def make(self, key: PRNGKeyArray) -> Backbone:
        """Draws the parameters."""
        ...
