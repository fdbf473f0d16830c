"""What heads, analyses and training ask of a backbone."""

from collections.abc import Sequence
from dataclasses import Field
from typing import ClassVar, Protocol, runtime_checkable

from jaxtyping import Array, Float, Int, Int32, PRNGKeyArray

from gauss_vit.models.compute import Compute
from gauss_vit.models.features import AttentionInputs, Features, Intermediates
from gauss_vit.models.layers import Init
from gauss_vit.models.stage import Stage
from gauss_vit.ops.grid import Grid
from gauss_vit.position.position import Position


@runtime_checkable
class Backbone(Protocol):
    """What every backbone computes of images; `key=None` means inference."""

    def features(self, images: Float[Array, "batch height width 3"], *, key: PRNGKeyArray | None = None) -> Features:
        """Computes the feature maps at the end of the backbone."""
        ...

    def maps(
        self,
        images: Float[Array, "batch height width 3"],
        layers: Sequence[int],
        *,
        key: PRNGKeyArray | None = None,
    ) -> tuple[Float[Array, "batch rows columns channels"], ...]:
        """Computes the maps that some blocks leave, from 1 through all stages, before any normalisation."""
        ...

    def intermediates(self, images: Float[Array, "batch height width 3"]) -> tuple[Intermediates, ...]:
        """Computes what every block does, blocks of equal shape together and in order."""
        ...

    def attention_inputs(self, images: Float[Array, "batch height width 3"]) -> tuple[AttentionInputs, ...]:
        """Computes what enters every attention layer, layers of equal shape together."""
        ...


@runtime_checkable
class BlockMaps(Protocol):
    """A backbone that computes the map behind any block of a stage by one compiled program."""

    def block_map(
        self, images: Float[Array, "batch height width 3"], num_blocks: Int32[Array, ""], *, stage: int
    ) -> Float[Array, "batch rows columns channels"]:
        """Computes the map that one of the first blocks of a stage leaves; their number is an argument."""
        ...


@runtime_checkable
class TokenMaps(Protocol):
    """A backbone of one stage that computes a single patch of a map at less cost than the map.

    Parameters of its blocks are stacked at `blocks`.
    """

    def before_last_block(self, images: Float[Array, "batch height width 3"]) -> Float[Array, "batch tokens channels"]:
        """Computes the stream that enters the last block, without dropout."""
        ...

    def token_features(
        self, tokens: Float[Array, "batch tokens channels"], position: Int[Array, "2"], *, is_normalized: bool
    ) -> Float[Array, "batch channels"]:
        """Computes one patch of `features` from `before_last_block`."""
        ...

    def before_block(
        self, images: Float[Array, "batch height width 3"], num_blocks: Int32[Array, ""]
    ) -> Float[Array, "batch tokens channels"]:
        """Computes the stream that enters the last of the first blocks."""
        ...

    def block_token(
        self, tokens: Float[Array, "batch tokens channels"], position: Int[Array, "2"], *, num_blocks: Int32[Array, ""]
    ) -> Float[Array, "batch channels"]:
        """Computes one patch of `block_map` from `before_block`."""
        ...


@runtime_checkable
class BackboneConfig(Protocol):
    """A backbone as a frozen dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field]]

    @property
    def image_size(self) -> tuple[int, int]:
        """The (height, width) of images in pixels."""
        ...

    @property
    def grid(self) -> Grid:
        """The (height, width) of the last map, in patches."""
        ...

    @property
    def compute(self) -> Compute:
        """Types, kernels and loops of the computation."""
        ...

    @property
    def depth(self) -> int:
        """Number of blocks in all stages."""
        ...

    @property
    def class_blocks(self) -> int:
        """Number of blocks behind the stages in which only a class token is updated."""
        ...

    @property
    def position(self) -> Position:
        """Its bias terms and its absolute embedding; `Position()` where it has neither."""
        ...

    @property
    def has_position_bias(self) -> bool:
        """Whether position terms are added to attention logits."""
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
    def dense_init(self) -> Init:
        """Initialiser of dense layers, those of a head included."""
        ...

    def stages(self) -> tuple[Stage, ...]:
        """Lists the stages, in the order in which they run."""
        ...

    def make(self, key: PRNGKeyArray) -> Backbone:
        """Draws the parameters."""
        ...
