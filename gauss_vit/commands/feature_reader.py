"""Feature maps of a model's parameters, in the form that the analyses take."""

import dataclasses
from itertools import accumulate
from typing import Literal

import jax.numpy as jnp
from flax import nnx
from jax.tree_util import Partial
from jaxtyping import Array, Float, Int, PyTree

from gauss_vit.analysis.protocol import ErfProtocol
from gauss_vit.errors import ConfigError
from gauss_vit.models import vit
from gauss_vit.models.construct import abstract
from gauss_vit.models.features import Features
from gauss_vit.models.swin import Swin, SwinConfig
from gauss_vit.ops.grid import Grid

ActivationType = Literal["float32", "bfloat16"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeatureReader:
    """The feature map of one layer as a function of (parameters, images); equal readers compile once.

    Attributes:
      graph: structure of the model.
      layer: the block whose output is read, from 1; None is the end of the trunk.
      reads_normalized: at the end of the trunk, whether to read behind a final normalisation or before it.
    """

    graph: nnx.GraphDef
    layer: int | None
    reads_normalized: bool

    def __call__(
        self, params: PyTree, images: Float[Array, "batch height width 3"]
    ) -> Float[Array, "batch rows columns channels"]:
        """Computes the feature map of normalised images, without dropout."""
        model: vit.ViT | Swin = nnx.merge(self.graph, params)
        if self.layer is None or self.layer == model.config.depth:
            is_normalized = self.layer is None and self.reads_normalized
            return _end_of_trunk(model.features(images), is_normalized=is_normalized)
        if isinstance(model, Swin):
            return _behind_swin_block(model, images, layer=self.layer)
        _, streams = model.scan_blocks(model.embed(images), collect=True)
        assert streams is not None, "asked for above"
        patches = streams[self.layer][:, model.config.prefix_tokens :]
        return patches.reshape(images.shape[0], *model.config.grid, model.config.width)

    def at_token(
        self, params: PyTree, images: Float[Array, "batch height width 3"], position: Int[Array, "2"]
    ) -> Float[Array, "batch channels"]:
        """Computes the feature map at one (row, column), by a shorter way where there is one."""
        model: vit.ViT = nnx.merge(self.graph, params)
        if self.layer is None and isinstance(model, vit.ViT):
            return model.token_features(images, position, is_normalized=self.reads_normalized)
        return self(params, images)[:, position[0], position[1]]


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
      params: its parameters, a nested dict; they are arguments of whatever compiles the result.
      layer: the block whose output is read, from 1 through all stages; None is the end of the trunk.
      protocol: says whether that end is read behind a final normalisation.
      dtype: type of the activations, whatever the model was trained in. Half precision changes a map by about half a
        per cent, the relative L1 difference (docs/receptive_fields.md).
      unrolls: whether to compile every block for itself: about a tenth faster on a CPU, and twice as long to compile.

    Raises:
      ConfigError: there is no such layer.
    """
    if layer is not None:
        _check_layer(config, layer)
    unroll = config.depth if unrolls else config.unroll
    graph, _ = abstract(dataclasses.replace(config, dtype=dtype, unroll=unroll))
    return Partial(FeatureReader(graph=graph, layer=layer, reads_normalized=protocol.reads_normalized), params)


def grid_of_layer(config: vit.ViTConfig | SwinConfig, layer: int | None) -> Grid:
    """Gives the (height, width) of the map that a block leaves, from 1; None is the end of the trunk.

    Raises:
      ConfigError: there is no such layer.
    """
    if layer is None:
        return config.grid
    _check_layer(config, layer)
    return config.grid_of_stage(_stage_of(config, layer)) if isinstance(config, SwinConfig) else config.grid


def _stage_of(config: SwinConfig, layer: int) -> int:
    """Finds the stage, from 0, of a block that is numbered from 1."""
    return next(index for index, last in enumerate(accumulate(config.depths)) if layer <= last)


def _behind_swin_block(
    model: Swin, images: Float[Array, "batch height width 3"], *, layer: int
) -> Float[Array, "batch rows columns channels"]:
    """Reads the residual stream behind a block that is numbered from 1 through all stages."""
    depths = model.config.depths
    stage = _stage_of(model.config, layer)
    visit = model.visit_stages(images, collect=True)[stage]
    within = layer - sum(depths[:stage])
    stream = visit.tokens if within == depths[stage] else visit.entering[within]
    return stream.reshape(images.shape[0], *visit.grid, stream.shape[-1])


def _check_layer(config: vit.ViTConfig | SwinConfig, layer: int) -> None:
    if not 1 <= layer <= config.depth:
        raise ConfigError(
            f"there is no layer {layer} in a model of {config.depth}", do=f"choose last or 1 to {config.depth}"
        )


def _end_of_trunk(features: Features, *, is_normalized: bool) -> Float[Array, "batch rows columns channels"]:
    return jnp.asarray(features.last if is_normalized else features.pre_norm)
