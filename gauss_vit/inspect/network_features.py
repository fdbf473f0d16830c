"""What receptive fields of a network are measured on: a map of its backbone, one that its head makes, or a score."""

import dataclasses
import math
import re
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from flax import nnx
from jax.tree_util import Partial
from jaxtyping import Array, Float, PyTree

from gauss_vit.analysis.erf import feature_grid
from gauss_vit.analysis.protocol import ErfProtocol
from gauss_vit.batches import Batch
from gauss_vit.errors import ConfigError
from gauss_vit.heads.network import Decoder, NetworkConfig, PyramidHead
from gauss_vit.inspect.features import features_of, grid_of_layer
from gauss_vit.models.compute import ActivationType
from gauss_vit.models.construct import abstract
from gauss_vit.ops.grid import Grid
from gauss_vit.tasks.task import Task

DECODER = "decoder"


@dataclasses.dataclass(frozen=True, kw_only=True)
class BoxScore:
    """The score of a box that a task predicts, in place of a layer.

    Attributes:
      task: the task.
      index: place of the box among those that are predicted for an image.
    """

    task: Task
    index: int

    def __str__(self) -> str:
        return f"box {self.index}"


Layer = int | str | BoxScore | None
"""A block of the backbone, counted from 1 through all stages; "decoder"; a level of the head's pyramid, such as "p3",
whose places are 2^3 pixels apart; the score of a box; None for the end of the backbone."""


@runtime_checkable
class ScoredBoxes(Protocol):
    """A prediction for images, by falling score."""

    yxyx: Float[Array, "batch boxes 4"]
    score: Float[Array, "batch boxes"]


def is_level(layer: Layer) -> bool:
    """Returns whether a layer is a level of a pyramid.

    >>> is_level("p3"), is_level("decoder"), is_level(3)
    (True, False, False)
    """
    return isinstance(layer, str) and re.fullmatch(r"p\d", layer) is not None


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecoderReader:
    """The map that a head's classifier reads as a function of (parameters, images); equal readers compile once.

    Attributes:
      graph: structure of the network.
    """

    graph: nnx.GraphDef

    def __call__(
        self, params: PyTree, images: Float[Array, "batch height width 3"]
    ) -> Float[Array, "batch rows columns channels"]:
        """Computes the map of normalised images, without dropout."""
        network = nnx.merge(self.graph, params)
        return network.head.features(network.backbone, images)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LevelReader:
    """A map of a head's pyramid as a function of (parameters, images).

    Attributes:
      graph: structure of the network.
      index: place of the map among those of the pyramid, the finest first.
    """

    graph: nnx.GraphDef
    index: int

    def __call__(
        self, params: PyTree, images: Float[Array, "batch height width 3"]
    ) -> Float[Array, "batch rows columns channels"]:
        """Computes the map of normalised images, without dropout."""
        network = nnx.merge(self.graph, params)
        return network.head.maps(network.backbone, images)[self.index]


@dataclasses.dataclass(frozen=True, kw_only=True)
class BoxReader:
    """The score of a box as a function of (parameters, images): a map of all pixels that has it everywhere.

    The target of a field is a place of a map. With one place for each pixel it can be the centre of the box, which
    distances are measured from. Where the box is, and that it is chosen, is constant; its score is differentiated.

    Attributes:
      graph: structure of the network.
      box: which box.
    """

    graph: nnx.GraphDef
    box: BoxScore

    def __call__(
        self, params: PyTree, images: Float[Array, "batch height width 3"]
    ) -> Float[Array, "batch height width 1"]:
        """Computes the score for normalised images."""
        outputs = nnx.merge(self.graph, params)(images)
        batch = Batch(image=images, is_real=jnp.ones(len(images), bool), targets=None)
        score = self.box.task.predict(outputs, batch).score[:, self.box.index]
        return jnp.broadcast_to(score[:, None, None, None], (*images.shape[:3], 1))


Reader = DecoderReader | LevelReader | BoxReader


def network_features(
    network: NetworkConfig,
    params: PyTree,
    *,
    layer: Layer,
    protocol: ErfProtocol,
    dtype: ActivationType = "float32",
    unrolls: bool = False,
) -> Partial:
    """Returns the feature function that a receptive field is measured on.

    Args:
      network: config of the network.
      params: its parameters, a nested dict; they are arguments of the compiled result.
      layer: which map is read.
      protocol: definition of the field. Of a head it reads what is predicted from, after normalisation.
      dtype: type of the activations, whatever the network was trained in.
      unrolls: whether to compile every block of the backbone separately.

    Raises:
      ConfigError: there is no such layer, or the head has no map as the protocol asks for it.
    """
    if layer is None or isinstance(layer, int):
        return features_of(network.backbone, params, layer=layer, protocol=protocol, dtype=dtype, unrolls=unrolls)
    if not protocol.reads_normalized:
        raise ConfigError(
            f"protocol {protocol.name} measures a residual stream, which a head has not ({layer})",
            do="measure it with protocol bmvc2023",
        )
    compute = dataclasses.replace(network.backbone.compute, dtype=dtype)
    backbone = dataclasses.replace(network.backbone, compute=compute)
    return Partial(_reader(dataclasses.replace(network, backbone=backbone), layer)[0], params)


def network_grid(network: NetworkConfig, layer: Layer) -> Grid:
    """Returns the (height, width) of the map that `network_features` computes.

    Raises:
      ConfigError: there is no such layer.
    """
    if layer is None or isinstance(layer, int):
        return grid_of_layer(network.backbone, layer)
    reader, shapes = _reader(network, layer)
    return feature_grid(Partial(reader, shapes), network.backbone.image_size)


def _reader(network: NetworkConfig, layer: str | BoxScore) -> tuple[Reader, PyTree]:
    """Returns what reads a layer of the head, and the shapes of its parameters.

    Raises:
      ConfigError: the head has no such layer.
    """
    graph, shapes = abstract(network)
    if isinstance(layer, BoxScore):
        return BoxReader(graph=graph, box=layer), shapes
    head, kind = nnx.merge(graph, shapes).head, type(network.head).__name__
    if layer == DECODER:
        if not isinstance(head, Decoder):
            raise ConfigError(f"{kind} has no decoder", do="measure a map of the backbone, such as --layer=last")
        return DecoderReader(graph=graph), shapes
    if not isinstance(head, PyramidHead):
        raise ConfigError(f"{kind} has no pyramid", do="measure a map of the backbone, such as --layer=last")
    levels = _levels(graph, shapes, network.backbone.image_size)
    if layer not in levels:
        raise ConfigError(f"the pyramid of {kind} has no level {layer}", do=f"choose one of {', '.join(levels)}")
    return LevelReader(graph=graph, index=levels.index(layer)), shapes


def _levels(graph: nnx.GraphDef, shapes: PyTree, image_size: Grid) -> list[str]:
    """Names the maps of a pyramid after the distance of their places in pixels: "p2" for 2^2."""

    def maps(params: PyTree, images: Float[Array, "batch height width 3"]) -> PyTree:
        network = nnx.merge(graph, params)
        return network.head.maps(network.backbone, images)

    images = jax.ShapeDtypeStruct((1, *image_size, 3), jnp.float32)
    return [f"p{round(math.log2(image_size[0] / found.shape[1]))}" for found in jax.eval_shape(maps, shapes, images)]
