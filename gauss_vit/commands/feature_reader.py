"""Feature maps and position tables of a model's parameters, in the form that the analyses take."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.tree_util import Partial
from jaxtyping import Array, Float, PyTree

from gauss_vit.analysis.position import LearnedGaussian
from gauss_vit.analysis.protocol import ErfProtocol
from gauss_vit.errors import ConfigError
from gauss_vit.models import vit
from gauss_vit.models.features import Features
from gauss_vit.position.gaussian import Gaussian


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
        model: vit.ViT = nnx.merge(self.graph, params)
        if self.layer is None or self.layer == model.config.depth:
            is_normalized = self.layer is None and self.reads_normalized
            return _end_of_trunk(model.features(images), is_normalized=is_normalized)
        _, streams = model.scan_blocks(model.embed(images), collect=True)
        assert streams is not None, "asked for above"
        patches = streams[self.layer][:, model.config.prefix_tokens :]
        return patches.reshape(images.shape[0], *model.config.grid, model.config.width)


def features_of(config: vit.ViTConfig, params: PyTree, *, layer: int | None, protocol: ErfProtocol) -> Partial:
    """Makes the feature function that a receptive field is measured on; it computes in float32.

    Args:
      config: of the model.
      params: its parameters, a nested dict; they are arguments of whatever compiles the result.
      layer: the block whose output is read, from 1; None is the end of the trunk.
      protocol: says whether that end is read behind a final normalisation.

    Raises:
      ConfigError: there is no such layer.
    """
    if layer is not None and not 1 <= layer <= config.depth:
        raise ConfigError(
            f"there is no layer {layer} in a model of {config.depth}", do=f"choose last or 1 to {config.depth}"
        )
    # Half precision would drown the small gradients of far pixels.
    graph, _ = vit.abstract(dataclasses.replace(config, dtype="float32"))
    return Partial(FeatureReader(graph=graph, layer=layer, reads_normalized=protocol.reads_normalized), params)


def position_tables(graph: nnx.GraphDef, params: PyTree) -> Float[np.ndarray, "depth heads dy dx"]:
    """Computes the sum of the position terms of every block, in logits and without dropout.

    Raises:
      ConfigError: the model has no position bias.
    """
    model: vit.ViT = nnx.merge(graph, params)
    if not model.config.terms:
        raise ConfigError(
            "the model has no position bias to draw",
            do="choose one with a relative position bias, or add --gaussian",
            code="NO-BIAS",
        )
    block_graph, stacked = nnx.split(model.blocks)
    tables = jax.jit(jax.vmap(lambda block: nnx.merge(block_graph, block).attention.table()))(stacked)
    return np.asarray(jax.device_get(tables))


def learned_gaussian(config: vit.ViTConfig, params: PyTree) -> LearnedGaussian | None:
    """Reads amplitude and sigma, in patches, of every block's Gaussian term; None where there is no such term."""
    term = config.gaussian
    if term is None:
        return None
    learned = jax.device_get(params["blocks"]["attention"]["bias"][term.name])
    sigma_y, sigma_x = _sigmas(term, learned["sigma"])
    scale_y, scale_x = config.grid if term.unit == "image" else (1, 1)
    return LearnedGaussian(
        amplitude=np.asarray(learned["amplitude"]),
        sigma_y=np.asarray(sigma_y * np.float32(scale_y)),
        sigma_x=np.asarray(sigma_x * np.float32(scale_x)),
    )


def _end_of_trunk(features: Features, *, is_normalized: bool) -> Float[Array, "batch rows columns channels"]:
    return jnp.asarray(features.last if is_normalized else features.pre_norm)


def _sigmas(
    term: Gaussian, sigma: Float[np.ndarray, "depth ..."]
) -> tuple[Float[np.ndarray, "depth heads"], Float[np.ndarray, "depth heads"]]:
    """Gives the standard deviations along rows and along columns."""
    return (sigma[:, 0], sigma[:, 1]) if term.anisotropic else (sigma, sigma)
