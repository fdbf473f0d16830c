"""Reads position tables, learned Gaussians and absolute embeddings from a network's parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from gauss_vit.analysis.position import LearnedGaussian
from gauss_vit.errors import ConfigError
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.models.stage import POSITION_EMBED, SHARED_BIAS, Stage
from gauss_vit.ops.dropout import split_key
from gauss_vit.ops.grid import Grid
from gauss_vit.position import term
from gauss_vit.position.position import Position
from gauss_vit.position.term import BiasTerm
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.tree import flatten_paths, subtree


@dataclass(frozen=True, kw_only=True)
class PositionGroup:
    """The position biases of blocks of equal shape.

    Attributes:
      name: empty if the model has one such group, else "stage0" and so on.
      grid: (height, width) of the patches that meet in attention: of the image, or of a window.
      tables: sum of the position terms of every block, in logits and without dropout.
      learned: amplitude and sigma of every block's Gaussian, or of the one that all share; None if there is none.
      numbers: what the terms log while they train, by `<term>/<number>`, and `shared/<term>/<number>` of shared ones.
    """

    name: str
    grid: Grid
    tables: Float[np.ndarray, "depth heads dy dx"]
    learned: LearnedGaussian | None
    numbers: Mapping[str, Float[np.ndarray, "depth _"]]


def position_groups(
    config: BackboneConfig, params: PyTree, *, key: PRNGKeyArray | None = None
) -> tuple[PositionGroup, ...]:
    """Reads the position biases of a network, grouped by blocks of equal shape.

    Args:
      config: Config of the backbone; terms that it lacks are left out.
      params: Parameters of the network.
      key: Key of the dropout that some terms have in training; None reads them as in inference.

    Raises:
      ConfigError: the model has no position bias.
    """
    check_has_attention(config)
    if not config.has_position_bias:
        undrawn = without_table(config.position)
        if undrawn:
            raise ConfigError(f"no table shows {undrawn}", do="see attention on images: --images=DIR", code="NO-BIAS")
        raise ConfigError(
            "the model has no position bias to draw",
            do="choose one with a relative position bias, or add --gaussian",
            code="NO-BIAS",
        )
    stages, leaves = config.stages(), flatten_paths(params)
    names = [f"stage{index}" for index in range(len(stages))] if len(stages) > 1 else [""]
    keys = split_key(key, len(stages))
    return tuple(
        _group(name, stage, leaves, key=stage_key) for name, stage, stage_key in zip(names, stages, keys, strict=True)
    )


def without_table(position: Position) -> str:
    """Names the position information of attention that is no table over offsets, as a config does; "" if none is.

    >>> from gauss_vit.position import AxialRotary, QueryGaussian
    >>> without_table(Position(rotary=AxialRotary(), query_gaussian=QueryGaussian()))
    'AxialRotary and QueryGaussian'
    """
    parts = (position.rotary, position.query_gaussian)
    return " and ".join(type(each).__name__ for each in parts if each is not None)


def check_has_attention(config: BackboneConfig) -> None:
    """Refuses a model without attention between patches, such as XCiT, whose attention mixes channels.

    Raises:
      ConfigError: no block has such attention.
    """
    if all(stage.attention is None for stage in config.stages()):
        raise ConfigError(
            "the model has no attention between patches, so that there are neither position biases nor distances of "
            "attention (cross-covariance attention mixes channels)",
            do="look at its receptive fields with erf",
            code="NO-BIAS",
        )


def position_embedding(params: PyTree) -> Float[np.ndarray, "tokens channels"] | None:
    """Reads the absolute embedding of prefix tokens, if they have one, and patches; None if there is none."""
    embedding = flatten_paths(params).get(POSITION_EMBED)
    return None if embedding is None else np.asarray(jax.device_get(embedding))


def _group(name: str, stage: Stage, leaves: Mapping[str, Array], *, key: PRNGKeyArray | None) -> PositionGroup:
    window, stacked = stage.window, subtree(leaves, stage.bias_path)
    shared_key, own_key = split_key(key, 2)
    shared_tables = term.tables(stage.shared_terms, subtree(leaves, SHARED_BIAS), window, key=shared_key)
    shared = {"shared": term.add(shared_tables, window)} if shared_tables else {}

    def table(params: PyTree, layer_key: PRNGKeyArray | None) -> Float[Array, "#heads dy dx"]:
        return term.add({**term.tables(stage.terms, params, window, key=layer_key), **shared}, window)

    layer_keys = None if own_key is None else jax.random.split(own_key, stage.depth)
    tables = jax.jit(jax.vmap(table, axis_size=stage.depth))(stacked, layer_keys)
    # The terms of a block first: where there are two Gaussians, its own is drawn.
    common = _repeated(subtree(leaves, SHARED_BIAS), stage.depth) if stage.shared_terms else {}
    both = [(each, stacked) for each in stage.terms] + [(each, common) for each in stage.shared_terms]
    learned = [_learned(each, held[each.name], window) for each, held in both if isinstance(each, Gaussian)]
    return PositionGroup(
        name=name,
        grid=window,
        tables=np.asarray(jax.device_get(tables)),
        learned=learned[0] if learned else None,
        numbers=_numbers(stage.terms, stacked, window, prefix="")
        | _numbers(stage.shared_terms, common, window, prefix="shared/"),
    )


def _learned(gaussian: Gaussian, params: PyTree, grid: Grid) -> LearnedGaussian:
    """Reads amplitude and sigma, the latter in patches whatever its unit."""
    learned = jax.tree.map(np.asarray, jax.device_get(params))
    down, across = gaussian.widths(learned, grid)
    return LearnedGaussian(amplitude=learned["amplitude"], sigma_y=down, sigma_x=across)


def _repeated(shared: PyTree, depth: int) -> PyTree:
    """Stacks parameters that all blocks share as if each had its own."""
    return jax.tree.map(lambda leaf: np.broadcast_to(np.asarray(leaf), (depth, *leaf.shape)), jax.device_get(shared))


def _numbers(
    terms: Sequence[BiasTerm], stacked: Mapping[str, PyTree], window: Grid, *, prefix: str
) -> dict[str, Float[np.ndarray, "depth _"]]:
    """Collects what terms log, as `<term>/<number>` behind a prefix."""
    return {
        f"{prefix}{each.name}/{name}": values
        for each in terms
        for name, values in each.numbers(jax.tree.map(np.asarray, jax.device_get(stacked[each.name])), window).items()
    }
