"""Feature maps of a model's parameters, in the form that the analyses take."""

import dataclasses
from functools import partial
from itertools import accumulate
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.tree_util import Partial
from jaxtyping import Array, Float, Int, PyTree

from gauss_vit.analysis.protocol import ErfProtocol
from gauss_vit.errors import ConfigError
from gauss_vit.models import vit
from gauss_vit.models.compute import ActivationType
from gauss_vit.models.construct import abstract
from gauss_vit.models.first_blocks import swin_block_map, vit_before_block, vit_block_map, vit_block_token
from gauss_vit.models.layers import layers_per_turn
from gauss_vit.models.swin import Swin, SwinConfig
from gauss_vit.ops.grid import Grid


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeatureReader:
    """The feature map at the end of the trunk as a function of (parameters, images); equal readers compile once.

    Attributes:
      graph: structure of the model.
      reads_normalized: whether to read behind a final normalisation or before it.
      takes_apart: whether the parameters of the blocks are a tuple, one entry a block. In a program without a loop the
        stack that is made of them is seen through; what is stacked already would be copied out of its stack.
    """

    graph: nnx.GraphDef
    reads_normalized: bool
    takes_apart: bool = False

    def __call__(
        self, params: PyTree, images: Float[Array, "batch height width 3"]
    ) -> Float[Array, "batch rows columns channels"]:
        """Computes the feature map of normalised images, without dropout."""
        features = self._model(params).features(images)
        return jnp.asarray(features.last if self.reads_normalized else features.pre_norm)

    def trunk(self, params: PyTree, images: Float[Array, "batch height width 3"]) -> Float[Array, "batch ..."]:
        """Computes what enters the last block; nothing is computed yet of a Swin transformer."""
        model = self._model(params)
        return model.before_last_block(images) if isinstance(model, vit.ViT) else images

    def at_token(
        self, params: PyTree, trunk: Float[Array, "batch ..."], position: Int[Array, "2"]
    ) -> Float[Array, "batch channels"]:
        """Computes the feature map at one (row, column)."""
        model = self._model(params)
        if isinstance(model, vit.ViT):
            return model.token_features(trunk, position, is_normalized=self.reads_normalized)
        return self(params, trunk)[:, position[0], position[1]]

    def _model(self, params: PyTree) -> vit.ViT | Swin:
        if self.takes_apart:
            blocks = jax.tree.map(lambda *leaves: jnp.stack(leaves), *params["blocks"])
            params = {**params, "blocks": blocks}
        return nnx.merge(self.graph, params)


class BlockParams(NamedTuple):
    """What a block's map depends on besides the images.

    Attributes:
      params: of the model.
      num_blocks: int32, how many blocks run; in a Swin transformer, of the stage.
    """

    params: PyTree
    num_blocks: PyTree


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockReader:
    """The residual stream behind a block as a function of (`BlockParams`, images).

    The block's number is among the arguments: blocks on one grid share a compiled program.

    Attributes:
      graph: structure of the model.
      stage: of a Swin transformer, from 0; that of any other model is 0.
    """

    graph: nnx.GraphDef
    stage: int

    def __call__(
        self, params: BlockParams, images: Float[Array, "batch height width 3"]
    ) -> Float[Array, "batch rows columns channels"]:
        """Computes the feature map of normalised images, without dropout."""
        model: vit.ViT | Swin = nnx.merge(self.graph, params.params)
        if isinstance(model, Swin):
            return swin_block_map(model, images, params.num_blocks, stage=self.stage)
        return vit_block_map(model, images, params.num_blocks)

    def trunk(self, params: BlockParams, images: Float[Array, "batch height width 3"]) -> Float[Array, "batch ..."]:
        """Computes what enters the last block that runs; nothing is computed yet of a Swin transformer."""
        model: vit.ViT | Swin = nnx.merge(self.graph, params.params)
        return vit_before_block(model, images, params.num_blocks) if isinstance(model, vit.ViT) else images

    def at_token(
        self, params: BlockParams, trunk: Float[Array, "batch ..."], position: Int[Array, "2"]
    ) -> Float[Array, "batch channels"]:
        """Computes the feature map at one (row, column)."""
        model: vit.ViT | Swin = nnx.merge(self.graph, params.params)
        if isinstance(model, vit.ViT):
            return vit_block_token(model, trunk, position, num_blocks=params.num_blocks)
        return self(params, trunk)[:, position[0], position[1]]


def features_of(
    config: vit.ViTConfig | SwinConfig,
    params: PyTree,
    *,
    layer: int | None,
    protocol: ErfProtocol,
    dtype: ActivationType = "float32",
    unrolls: bool = False,
) -> Partial:
    """Makes the feature function that a receptive field is measured on.

    Args:
      config: of the model.
      params: Parameters of the network, a nested dict, of which the backbone's are read. They are arguments of whatever
        compiles the result.
      layer: the block whose output is read, from 1 through all stages; None is the end of the trunk. It is no part of
        the program: layers on one grid share one.
      protocol: says whether that end is read behind a final normalisation.
      dtype: type of the activations, whatever the model was trained in. Half precision changes a map by about half a
        per cent, the relative L1 difference (docs/receptive_fields.md).
      unrolls: whether to compile every block for itself: about a tenth faster on a CPU, and twice as long to compile.

    Raises:
      ConfigError: there is no such layer.
    """
    # A loop is what few images pay best for, in half precision too.
    loop = layers_per_turn(dataclasses.replace(config.compute, dtype="float32"), config.depth)
    unroll = config.depth if unrolls else loop
    compute = dataclasses.replace(config.compute, dtype=dtype, unroll=unroll)
    graph, _ = abstract(dataclasses.replace(config, compute=compute))
    backbone = params["backbone"]
    if layer is None:
        is_apart = isinstance(config, vit.ViTConfig) and unroll >= config.depth
        reader = FeatureReader(graph=graph, reads_normalized=protocol.reads_normalized, takes_apart=is_apart)
        return Partial(reader, _taken_apart(backbone, depth=config.depth) if is_apart else backbone)
    _check_layer(config, layer)
    stage, num_blocks = _place_of(config, layer)
    return Partial(BlockReader(graph=graph, stage=stage), BlockParams(backbone, jnp.int32(num_blocks)))


def _taken_apart(params: PyTree, *, depth: int) -> PyTree:
    """Gives every block parameters of its own."""
    return {**params, "blocks": _rows(params["blocks"], depth=depth)}


@partial(jax.jit, static_argnames="depth")
def _rows(stacked: PyTree, *, depth: int) -> tuple[PyTree, ...]:
    return tuple(jax.tree.map(lambda leaf, index=index: leaf[index], stacked) for index in range(depth))


def grid_of_layer(config: vit.ViTConfig | SwinConfig, layer: int | None) -> Grid:
    """Gives the (height, width) of the map that a block leaves, from 1; None is the end of the trunk.

    Raises:
      ConfigError: there is no such layer.
    """
    if layer is None:
        return config.grid
    _check_layer(config, layer)
    return config.grid_of_stage(_place_of(config, layer)[0]) if isinstance(config, SwinConfig) else config.grid


def _place_of(config: vit.ViTConfig | SwinConfig, layer: int) -> tuple[int, int]:
    """Finds the stage of a block, from 0, and its number there, from 1."""
    if not isinstance(config, SwinConfig):
        return 0, layer
    ends = list(accumulate(config.depths))
    stage = next(index for index, end in enumerate(ends) if layer <= end)
    return stage, layer - ends[stage] + config.depths[stage]


def _check_layer(config: vit.ViTConfig | SwinConfig, layer: int) -> None:
    if not 1 <= layer <= config.depth:
        raise ConfigError(
            f"there is no layer {layer} in a model of {config.depth}", do=f"choose last or 1 to {config.depth}"
        )
