"""Which position tensors of a file are resampled, planned from its header alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.ops.grid import Grid
from gauss_vit.weights.names.naming import Expected
from gauss_vit.weights.resample_positions import Positions, Regrid, positions_of


@dataclass(frozen=True, kw_only=True)
class PositionPlan:
    """The changes of grid that make the positions of a file fit.

    Attributes:
      regrids: Changes of the tensors that were made on another grid, by their name.
      unknown: Sentences on the tensors whose grid is not known, though they have the size of the model's, and on a grid
        that the user names and no tensor has.
      remarks: Sentences on what was assumed.
    """

    regrids: Mapping[str, Regrid]
    unknown: tuple[str, ...]
    remarks: tuple[str, ...]


def plan_positions(
    shapes: Mapping[str, tuple[int, ...]],
    wanted: Mapping[str, Expected],
    config: BackboneConfig,
    *,
    stated: Mapping[str, Grid],
    source_grid: Grid | None,
) -> PositionPlan:
    """Finds the grids of a file's positions: those that it states, the one that the user names, or square ones.

    Args:
      shapes: Shapes of the file's tensors, by name.
      wanted: Tensors that the model needs, by name.
      config: Config of the backbone.
      stated: Grids that the file states, by the name of the tensor.
      source_grid: Grid that the user names; None if they name none.
    """
    found = {
        name: positions
        for name, each in wanted.items()
        if name in shapes and (positions := positions_of(each, shapes[name], config))
    }
    sources = {name: each.source(stated=stated.get(name), source_grid=source_grid) for name, each in found.items()}
    regrids = {
        name: found[name].regrid(source)
        for name, source in sources.items()
        if source is not None and source != found[name].target
    }
    assumed = {
        regrid
        for name, regrid in regrids.items()
        if shapes[name] == wanted[name].shape and name not in stated and regrid.source != source_grid
    }
    return PositionPlan(
        regrids=regrids,
        unknown=(
            *_unused(source_grid, tuple(found.values())),
            *(
                _unknown(name, found[name], stated=stated.get(name), source_grid=source_grid)
                for name, source in sources.items()
                if source is None and (name in stated or shapes[name] == wanted[name].shape)
            ),
        ),
        remarks=tuple(sorted(map(_assumption, assumed))),
    )


def _unused(source_grid: Grid | None, found: Sequence[Positions]) -> tuple[str, ...]:
    """Says that no tensor has positions of the grid that the user names, if that is so."""
    if source_grid is None or any(each.fits(source_grid) for each in found):
        return ()
    held = ", ".join(sorted({f"{each.length} {each.unit}" for each in found})) or "no positions"
    return (f"source_grid is {_shown(source_grid)} patches, which the file does not have: it has {held}",)


def _unknown(name: str, positions: Positions, *, stated: Grid | None, source_grid: Grid | None) -> str:
    """Says why the grid of a tensor is not known."""
    held = f"{name} has {positions.length} {positions.unit}"
    if stated is None:
        return f"{held}, which no square grid has"
    if source_grid is not None:
        return f"{held} of {_shown(stated)} patches by its own statement, and not of {_shown(source_grid)}"
    return f"{held}, which is not what its stated grid of {_shown(stated)} patches has"


def _assumption(regrid: Regrid) -> str:
    return (
        f"positions are taken to be of {_shown(regrid.source)} patches, as the file does not say that they are of"
        f" {_shown(regrid.target)}; --source_grid (start.source_grid in a config) names another grid"
    )


def _shown(grid: Grid) -> str:
    return f"{grid[0]} x {grid[1]}"
