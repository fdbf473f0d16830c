"""The sites of position terms in a backbone: their paths, their grids and their numbers of blocks."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.models.stage import SHARED_BIAS
from gauss_vit.ops.grid import Grid
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
    return any(path.startswith(f"{stage.rotary_path}.") for stage in config.stages())
