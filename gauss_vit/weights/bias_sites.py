"""The sites of position terms in a backbone: their paths, their grids and their numbers of blocks."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import jax
from jaxtyping import Array, PRNGKeyArray

from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.models.stage import SHARED_BIAS, Stage
from gauss_vit.ops.grid import Grid
from gauss_vit.position.query_gaussian import QueryGaussian
from gauss_vit.position.rotary import Rotary
from gauss_vit.position.term import BiasTerm

Leaf = TypeVar("Leaf")


@dataclass(frozen=True, kw_only=True)
class BiasSite:
    """Position terms with parameters of equal shape.

    Attributes:
      path: Path of their parameters.
      terms: The terms.
      grid: The (height, width) of an attention window, in patches.
      num_heads: Number of attention heads.
      depth: Number of blocks, whose parameters are stacked; None if all blocks share one set.
      places: Places of the blocks in the model, see `Stage.places`; empty if all blocks share one set.
    """

    path: str
    terms: tuple[BiasTerm, ...]
    grid: Grid
    num_heads: int
    depth: int | None
    places: tuple[float, ...] = ()

    def owned(self, term: BiasTerm, leaves: Mapping[str, Leaf]) -> dict[str, Leaf]:
        """Selects the parameters of a term from those of a network, by their names in the term."""
        start = f"{self.path}.{term.name}."
        return {path.removeprefix(start): leaf for path, leaf in leaves.items() if path.startswith(start)}

    def paths(self, term: BiasTerm, params: Mapping[str, Leaf]) -> dict[str, Leaf]:
        """Returns parameters of a term by their full paths; the inverse of `owned`."""
        return {f"{self.path}.{term.name}.{name}": leaf for name, leaf in params.items()}


@functools.lru_cache(maxsize=8)  # Every parameter of a file is asked for its site, and a config builds all its stages.
def bias_sites(config: BackboneConfig) -> tuple[BiasSite, ...]:
    """Lists the sites of a backbone: the shared one first, if all stages could share a table, then each stage's."""
    stages = config.stages()
    own = tuple(
        BiasSite(
            path=stage.bias_path,
            terms=stage.terms,
            grid=stage.window,
            num_heads=stage.num_heads,
            depth=stage.depth,
            places=tuple(stage.places.tolist()),
        )
        for stage in stages
    )
    first = own[0]
    if any((site.grid, site.num_heads) != (first.grid, first.num_heads) for site in own):
        return own
    shared = BiasSite(
        path=SHARED_BIAS, terms=stages[0].shared_terms, grid=first.grid, num_heads=first.num_heads, depth=None
    )
    return shared, *own


@dataclass(frozen=True, kw_only=True)
class LayerPart:
    """Position information of the blocks of a stage that is no table over offsets, and has parameters.

    Attributes:
      path: Path of its parameters, which are stacked over the blocks.
      depth: Number of blocks.
      value: The value of the config that it comes from.
      init: Draws its parameters for one block.
    """

    path: str
    depth: int
    value: Rotary | QueryGaussian
    init: Callable[[PRNGKeyArray], dict[str, Array]]


@functools.lru_cache(maxsize=8)  # As `bias_sites`.
def layer_parts(config: BackboneConfig) -> tuple[LayerPart, ...]:
    """Lists the position information of a backbone that is no table and has parameters, stage by stage."""
    return tuple(part for stage in config.stages() for part in _parts_of(stage))


def _parts_of(stage: Stage) -> tuple[LayerPart, ...]:
    attention, parts = stage.attention, []
    if attention is None:
        return ()
    if attention.rotary is not None:
        init = functools.partial(attention.rotary.init, num_heads=attention.num_heads, channels=attention.head_channels)
        parts.append(LayerPart(path=stage.rotary_path, depth=stage.depth, value=attention.rotary, init=init))
    if attention.query_gaussian is not None:
        init = functools.partial(attention.query_gaussian.init, channels=attention.head_channels)
        path = stage.query_gaussian_path
        parts.append(LayerPart(path=path, depth=stage.depth, value=attention.query_gaussian, init=init))
    return tuple(part for part in parts if jax.eval_shape(part.init, jax.random.key(0)))


def term_at(path: str, config: BackboneConfig) -> tuple[BiasSite, BiasTerm] | None:
    """Finds the term that a parameter belongs to; None for any other parameter."""
    found = (
        (site, term)
        for site in bias_sites(config)
        for term in site.terms
        if path.startswith(f"{site.path}.{term.name}.")
    )
    return next(found, None)


def starts_fresh(path: str, config: BackboneConfig) -> bool:
    """Returns whether a parameter is position information that foreign weights may lack, so that it is newly drawn."""
    found = term_at(path, config)
    if found is not None:
        return not found[1].is_in_foreign_files
    return any(path.startswith(f"{part.path}.") for part in layer_parts(config))
