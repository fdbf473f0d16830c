"""The protocols of a backbone and its config, which heads, analyses and training rely on."""

from collections.abc import Sequence
from dataclasses import Field
from typing import ClassVar, Protocol, runtime_checkable

from jaxtyping import Array, Float, Int, Int32, PRNGKeyArray

from gauss_vit.models.compute import Compute
from gauss_vit.models.features import AttentionInputs, Features, Intermediates
from gauss_vit.models.layer_position import PositionBias
from gauss_vit.models.layers import Init, LayerNorm
from gauss_vit.models.stage import Stage
from gauss_vit.ops.grid import Grid
from gauss_vit.position.position import Position


@runtime_checkable
class Backbone(Protocol):
    """A model from images to feature maps; `key=None` means inference.

    Attributes:
      norm: Final normalisation, over the channels of a patch of the last map.
    """

    norm: LayerNorm

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
        """Computes the output maps of some blocks, counted from 1 through all stages, before the final norm."""
        ...

    def intermediates(self, images: Float[Array, "batch height width 3"]) -> tuple[Intermediates, ...]:
        """Computes the intermediate arrays of every block; blocks of equal shape are stacked, in order."""
        ...

    def attention_inputs(self, images: Float[Array, "batch height width 3"]) -> tuple[AttentionInputs, ...]:
        """Computes the inputs of every attention layer; layers of equal shape are stacked."""
        ...


@runtime_checkable
class SharesBias(Protocol):
    """A backbone with position terms whose parameters all blocks share.

    Attributes:
      shared_bias: Those terms, which may be none.
    """

    shared_bias: PositionBias


@runtime_checkable
class BlockMaps(Protocol):
    """A backbone that computes the output map of any block of a stage with one compiled program."""

    def block_map(
        self, images: Float[Array, "batch height width 3"], num_blocks: Int32[Array, ""], *, stage: int
    ) -> Float[Array, "batch rows columns channels"]:
        """Computes the map after the first `num_blocks` blocks of a stage; the number may be traced."""
        ...


@runtime_checkable
class TokenMaps(Protocol):
    """A backbone of one stage that computes a single patch of a map at a lower cost than the whole map.

    The parameters of its blocks are stacked in its attribute `blocks`.
    """

    def before_last_block(self, images: Float[Array, "batch height width 3"]) -> Float[Array, "batch tokens channels"]:
        """Computes the residual stream that enters the last block, without dropout."""
        ...

    def token_features(
        self, tokens: Float[Array, "batch tokens channels"], position: Int[Array, "2"], *, is_normalized: bool
    ) -> Float[Array, "batch channels"]:
        """Computes one patch of `features` from the result of `before_last_block`."""
        ...

    def before_block(
        self, images: Float[Array, "batch height width 3"], num_blocks: Int32[Array, ""]
    ) -> Float[Array, "batch tokens channels"]:
        """Computes the residual stream that enters block `num_blocks`, counted from 1."""
        ...

    def block_token(
        self, tokens: Float[Array, "batch tokens channels"], position: Int[Array, "2"], *, num_blocks: Int32[Array, ""]
    ) -> Float[Array, "batch channels"]:
        """Computes one patch of `block_map` from the result of `before_block`."""
        ...


@runtime_checkable
class BackboneConfig(Protocol):
    """The config of a backbone, as a frozen dataclass."""

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
        """Settings of the computation: dtype, kernels and loops."""
        ...

    @property
    def depth(self) -> int:
        """Number of blocks in all stages."""
        ...

    @property
    def class_blocks(self) -> int:
        """Number of blocks after the stages that update only a class token."""
        ...

    @property
    def position(self) -> Position:
        """Bias terms and absolute embedding; `Position()` for a backbone with neither."""
        ...

    @property
    def has_position_bias(self) -> bool:
        """Whether position terms are added to attention logits."""
        ...

    @property
    def num_features(self) -> int:
        """Number of channels of the pooled features."""
        ...

    @property
    def num_keys(self) -> int:
        """Number of keys that `make` splits its key into; a head draws from the next one."""
        ...

    @property
    def dense_init(self) -> Init:
        """Initialiser of dense layers, including those of a head."""
        ...

    def stages(self) -> tuple[Stage, ...]:
        """Returns the stages in the order in which they run."""
        ...

    def make(self, key: PRNGKeyArray) -> Backbone:
        """Builds the backbone with newly drawn parameters."""
        ...
