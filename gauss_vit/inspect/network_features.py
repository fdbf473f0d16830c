"""What receptive fields of a network are measured on: a map of its backbone, or the one that its head decodes."""

import dataclasses
from typing import Literal

from flax import nnx
from jax.tree_util import Partial
from jaxtyping import Array, Float, PyTree

from gauss_vit.analysis.erf import feature_grid
from gauss_vit.analysis.protocol import ErfProtocol
from gauss_vit.errors import ConfigError
from gauss_vit.heads.network import Decoder, NetworkConfig
from gauss_vit.inspect.features import features_of, grid_of_layer
from gauss_vit.models.compute import ActivationType
from gauss_vit.models.construct import abstract
from gauss_vit.ops.grid import Grid

DECODER = "decoder"

Layer = int | Literal["decoder"] | None
"""A block of the backbone, counted from 1 through all stages; the decoder; None for the end of the backbone."""


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
      protocol: definition of the field. Of the decoder it reads what the classifier reads, after normalisation.
      dtype: type of the activations, whatever the network was trained in.
      unrolls: whether to compile every block of the backbone separately.

    Raises:
      ConfigError: there is no such layer, or the decoder has no map as the protocol asks for it.
    """
    if layer != DECODER:
        return features_of(network.backbone, params, layer=layer, protocol=protocol, dtype=dtype, unrolls=unrolls)
    if not protocol.reads_normalized:
        raise ConfigError(
            f"protocol {protocol.name} measures a residual stream, which a decoder has not",
            do="measure the decoder with protocol bmvc2023",
        )
    return Partial(DecoderReader(graph=_graph(network, dtype)), params)


def network_grid(network: NetworkConfig, layer: Layer) -> Grid:
    """Returns the (height, width) of the map that `network_features` computes.

    Raises:
      ConfigError: there is no such layer.
    """
    if layer != DECODER:
        return grid_of_layer(network.backbone, layer)
    graph, shapes = abstract(network)
    _check_decoder(network, graph, shapes)
    return feature_grid(Partial(DecoderReader(graph=graph), shapes), network.backbone.image_size)


def _graph(network: NetworkConfig, dtype: ActivationType) -> nnx.GraphDef:
    """Returns the structure of a network whose backbone has activations of a type."""
    compute = dataclasses.replace(network.backbone.compute, dtype=dtype)
    graph, shapes = abstract(
        dataclasses.replace(network, backbone=dataclasses.replace(network.backbone, compute=compute))
    )
    _check_decoder(network, graph, shapes)
    return graph


def _check_decoder(network: NetworkConfig, graph: nnx.GraphDef, shapes: PyTree) -> None:
    if not isinstance(nnx.merge(graph, shapes).head, Decoder):
        raise ConfigError(
            f"{type(network.head).__name__} has no decoder", do="measure a map of the backbone, such as --layer=last"
        )
