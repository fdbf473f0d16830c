"""Position tables and learned Gaussians, read from a model's parameters in the form that the analyses take."""

from dataclasses import dataclass

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PyTree

from gauss_vit.analysis.position import LearnedGaussian
from gauss_vit.errors import ConfigError
from gauss_vit.models.attention import AttentionConfig
from gauss_vit.models.blocks import Block
from gauss_vit.models.construct import abstract
from gauss_vit.models.swin import Swin, SwinConfig
from gauss_vit.models.vit import ViT, ViTConfig
from gauss_vit.ops.grid import Grid
from gauss_vit.position.gaussian import Gaussian


@dataclass(frozen=True, kw_only=True)
class PositionGroup:
    """The position biases of blocks of equal shape.

    Attributes:
      name: empty where the model has one such group, else "stage1" and so on.
      grid: the (height, width) of the patches that meet in attention: of the image, or of a window.
      tables: the sum of the position terms of every block, in logits and without dropout.
      learned: amplitude and sigma of every block's Gaussian; None where there is none.
    """

    name: str
    grid: Grid
    tables: Float[np.ndarray, "depth heads dy dx"]
    learned: LearnedGaussian | None


def position_groups(config: ViTConfig | SwinConfig, params: PyTree) -> tuple[PositionGroup, ...]:
    """Reads the position biases of a network, blocks of equal shape together.

    Raises:
      ConfigError: the model has no position bias.
    """
    if not config.has_position_bias:
        raise ConfigError(
            "the model has no position bias to draw",
            do="choose one with a relative position bias, or add --gaussian",
            code="NO-BIAS",
        )
    model = nnx.merge(abstract(config)[0], params["backbone"])
    if isinstance(model, Swin):
        return tuple(
            _group(f"stage{int(index) + 1}", stage.blocks, stage.config.block.attention, shared=None)
            for index, stage in model.stages.items()
        )
    vit: ViT = model
    return (_group("", vit.blocks, vit.config.block().attention, shared=vit.shared_table()),)


def position_embedding(config: ViTConfig | SwinConfig, params: PyTree) -> Float[np.ndarray, "tokens channels"] | None:
    """Gives the absolute embedding of the patches, behind that of prefix tokens if these have one; None for none."""
    if not isinstance(config, ViTConfig) or config.absolute is None:
        return None
    return np.asarray(jax.device_get(params["backbone"]["position_embed"]))


def _group(
    name: str, blocks: Block, attention: AttentionConfig, *, shared: Float[Array, "#heads dy dx"] | None
) -> PositionGroup:
    graph, stacked = nnx.split(blocks)
    tables = jax.jit(jax.vmap(lambda block: nnx.merge(graph, block).attention.table(shared=shared)))(stacked)
    bias = blocks.attention.bias.params()
    learned = [
        _learned(term, bias[term.name], attention.grid) for term in attention.terms if isinstance(term, Gaussian)
    ]
    return PositionGroup(
        name=name,
        grid=attention.grid,
        tables=np.asarray(jax.device_get(tables)),
        learned=learned[0] if learned else None,
    )


def _learned(term: Gaussian, params: PyTree, grid: Grid) -> LearnedGaussian:
    """Reads amplitude and sigma, the latter in patches whatever its unit."""
    learned = jax.device_get(params)
    sigma = np.asarray(learned["sigma"])
    sigma_y, sigma_x = (sigma[:, 0], sigma[:, 1]) if term.anisotropic else (sigma, sigma)
    scale_y, scale_x = (term.image or grid) if term.unit == "image" else (1, 1)
    return LearnedGaussian(
        amplitude=np.asarray(learned["amplitude"]),
        sigma_y=sigma_y * np.float32(scale_y),
        sigma_x=sigma_x * np.float32(scale_x),
    )
