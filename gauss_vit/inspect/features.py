"""Feature maps as functions of images, which receptive fields are measured on."""

import dataclasses
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.tree_util import Partial
from jaxtyping import Array, Float, Int, PyTree

from gauss_vit.analysis.protocol import ErfProtocol
from gauss_vit.errors import ConfigError
from gauss_vit.models.backbone import Backbone, BackboneConfig, BlockMaps, TokenMaps
from gauss_vit.models.compute import ActivationType
from gauss_vit.models.construct import abstract
from gauss_vit.models.layers import layers_per_turn
from gauss_vit.models.stage import stage_of_block
from gauss_vit.ops.grid import Grid


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeatureReader:
    """The feature map at the end of the trunk as a function of (parameters, images); equal readers compile once.

    Attributes:
      graph: structure of the backbone.
      reads_normalized: whether to read after a final normalisation or before it.
      takes_apart: whether the parameters of the blocks are a tuple with one entry for each block. In a program without
        a loop XLA removes the stack that is made of them; parameters that are stacked already would be copied.
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
        """Computes the input of the last block; the images if a token costs as much as the map."""
        model = self._model(params)
        return model.before_last_block(images) if isinstance(model, TokenMaps) else images

    def at_token(
        self, params: PyTree, trunk: Float[Array, "batch ..."], position: Int[Array, "2"]
    ) -> Float[Array, "batch channels"]:
        """Computes the feature map at one (row, column)."""
        model = self._model(params)
        if isinstance(model, TokenMaps):
            return model.token_features(trunk, position, is_normalized=self.reads_normalized)
        return self(params, trunk)[:, position[0], position[1]]

    def _model(self, params: PyTree) -> Backbone:
        if self.takes_apart:
            blocks = jax.tree.map(lambda *leaves: jnp.stack(leaves), *params["blocks"])
            params = {**params, "blocks": blocks}
        return nnx.merge(self.graph, params)


class BlockParams(NamedTuple):
    """What a block's map depends on besides the images.

    Attributes:
      params: parameters of the backbone.
      num_blocks: int32, number of blocks of the stage that run.
    """

    params: PyTree
    num_blocks: PyTree


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockReader:
    """The residual stream after a block as a function of (`BlockParams`, images).

    The block's number is an argument, so that blocks of one stage share a compiled program.

    Attributes:
      graph: structure of a backbone that has `BlockMaps`.
      stage: index of the stage, from 0.
    """

    graph: nnx.GraphDef
    stage: int

    def __call__(
        self, params: BlockParams, images: Float[Array, "batch height width 3"]
    ) -> Float[Array, "batch rows columns channels"]:
        """Computes the feature map of normalised images, without dropout."""
        model: BlockMaps = nnx.merge(self.graph, params.params)
        return model.block_map(images, params.num_blocks, stage=self.stage)

    def trunk(self, params: BlockParams, images: Float[Array, "batch height width 3"]) -> Float[Array, "batch ..."]:
        """Computes the input of the last block that runs; the images if a token costs as much as the map."""
        model: BlockMaps = nnx.merge(self.graph, params.params)
        return model.before_block(images, params.num_blocks) if isinstance(model, TokenMaps) else images

    def at_token(
        self, params: BlockParams, trunk: Float[Array, "batch ..."], position: Int[Array, "2"]
    ) -> Float[Array, "batch channels"]:
        """Computes the feature map at one (row, column)."""
        model: BlockMaps = nnx.merge(self.graph, params.params)
        if isinstance(model, TokenMaps):
            return model.block_token(trunk, position, num_blocks=params.num_blocks)
        return self(params, trunk)[:, position[0], position[1]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class MapReader:
    """The map after a block as a function of (parameters, images), for any backbone; each block is its own program.

    Attributes:
      graph: structure of the backbone.
      layer: number of the block, from 1 through all stages.
    """

    graph: nnx.GraphDef
    layer: int

    def __call__(
        self, params: PyTree, images: Float[Array, "batch height width 3"]
    ) -> Float[Array, "batch rows columns channels"]:
        """Computes the feature map of normalised images, without dropout."""
        model: Backbone = nnx.merge(self.graph, params)
        return model.maps(images, (self.layer,))[0]


def features_of(
    config: BackboneConfig,
    params: PyTree,
    *,
    layer: int | None,
    protocol: ErfProtocol,
    dtype: ActivationType = "float32",
    unrolls: bool = False,
) -> Partial:
    """Returns the feature function that a receptive field is measured on.

    Args:
      config: config of the backbone.
      params: parameters of the network, a nested dict, of which the backbone's are read. They are arguments of the
        compiled result.
      layer: number of the block whose output is read, from 1 through all stages; None for the end of the trunk. Layers
        of one stage share a compiled program.
      protocol: definition of the field, which decides whether the end is read after a final normalisation.
      dtype: type of the activations, whatever the model was trained in. Half precision changes a map by about half a
        per cent in relative L1 difference (docs/receptive_fields.md).
      unrolls: whether to compile every block separately: about a tenth faster on a CPU, and twice as long to compile.

    Raises:
      ConfigError: there is no such layer.
    """
    # For few images a loop is fastest, compilation included, in half precision too.
    loop = layers_per_turn(dataclasses.replace(config.compute, dtype="float32"), config.depth)
    unroll = config.depth if unrolls else loop
    compute = dataclasses.replace(config.compute, dtype=dtype, unroll=unroll)
    graph, shapes = abstract(dataclasses.replace(config, compute=compute))
    model, backbone = nnx.merge(graph, shapes), params["backbone"]
    if layer is None:
        is_apart = isinstance(model, TokenMaps) and unroll >= config.depth
        reader = FeatureReader(graph=graph, reads_normalized=protocol.reads_normalized, takes_apart=is_apart)
        return Partial(reader, _taken_apart(backbone, depth=config.depth) if is_apart else backbone)
    stages = config.stages()
    stage = stage_of_block(stages, layer)
    if not isinstance(model, BlockMaps):
        return Partial(MapReader(graph=graph, layer=layer), backbone)
    num_blocks = jnp.int32(layer - stages[stage].first)
    return Partial(BlockReader(graph=graph, stage=stage), BlockParams(backbone, num_blocks))


def _taken_apart(params: PyTree, *, depth: int) -> PyTree:
    """Splits the stacked parameters of the blocks into a tuple."""
    return {**params, "blocks": _rows(params["blocks"], depth=depth)}


@partial(jax.jit, static_argnames="depth")
def _rows(stacked: PyTree, *, depth: int) -> tuple[PyTree, ...]:
    return tuple(jax.tree.map(lambda leaf, index=index: leaf[index], stacked) for index in range(depth))


def grid_of_layer(config: BackboneConfig, layer: int | None) -> Grid:
    """Returns the (height, width) of the map after a block, from 1; None for the end of the backbone.

    Raises:
      ConfigError: there is no such layer.
    """
    if layer is None:
        return config.grid
    stages = config.stages()
    return stages[stage_of_block(stages, layer)].grid


def check_whole_patches(config: BackboneConfig, layer: int | None) -> None:
    """Makes sure that the patches of a map cover the image exactly, since their places in pixels are taken from it.

    Args:
      config: config of the backbone.
      layer: the block that the map follows, from 1; None for the end of the backbone.

    Raises:
      ConfigError: they cover more, as where a Swin pads the image or a map; or there is no such layer.
    """
    stages = config.stages()
    patch = stages[-1 if layer is None else stage_of_block(stages, layer)].patch_size
    sides = tuple(zip(config.image_size, patch, strict=True))
    if all(side % cell == 0 for side, cell in sides):
        return
    sizes = [tuple(side // cell * cell for side, cell in sides), tuple(-(-side // cell) * cell for side, cell in sides)]
    height, width = config.image_size
    raise ConfigError(
        f"images of {height} x {width} are not a whole number of patches of {patch[0]} x {patch[1]} pixels, so that"
        " the places of patches in the image are not defined",
        do=f"choose {' or '.join(f'{rows}x{columns}' for rows, columns in sizes if rows and columns)}",
    )
