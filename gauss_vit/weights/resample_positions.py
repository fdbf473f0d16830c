"""Resamples position parameters from another grid: foreign ones, detected by their shapes, and our own.

Every known foreign format stores absolute embeddings as [1, prefix tokens + patches, channels] and relative tables as
[offsets + prefix rows, heads].
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import PyTree

from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.models.stage import POSITION_EMBED
from gauss_vit.ops.grid import Grid, num_patches, offset_shape
from gauss_vit.ops.resize import resize_grid, resize_offset_table
from gauss_vit.position.terms.relative import check_can_be_resampled
from gauss_vit.tree import flatten_paths, unflatten_paths
from gauss_vit.weights.bias_sites import bias_sites, term_at
from gauss_vit.weights.names.naming import Expected, Tensor


@dataclass(frozen=True, kw_only=True)
class Regrid:
    """A change of grid for one tensor of theirs.

    Attributes:
      kind: Kind of tensor: "absolute" for an embedding, "relative" for a table over offsets.
      source: The (height, width) in patches on which it was made.
      target: The (height, width) that is needed.
      num_extra: Number of prefix tokens before the patches, or of prefix rows after the offsets; they do not change.
    """

    kind: Literal["absolute", "relative"]
    source: Grid
    target: Grid
    num_extra: int

    def __call__(self, tensor: Tensor) -> Tensor:
        """Resamples a tensor in their layout, as timm does when it loads weights.

        Raises:
          ConfigError: it is a table with masked offsets.
        """
        return self._absolute(tensor) if self.kind == "absolute" else self._relative(tensor)

    def _absolute(self, tensor: Tensor) -> Tensor:
        prefix, patches = tensor[0, : self.num_extra], tensor[0, self.num_extra :]
        resized = resize_grid(patches.reshape(*self.source, -1), self.target)
        return np.concatenate([prefix, resized.reshape(-1, tensor.shape[-1])])[None]

    def _relative(self, tensor: Tensor) -> Tensor:
        check_can_be_resampled(tensor, source=self.source, target=self.target)
        num_offsets = tensor.shape[0] - self.num_extra
        offsets, prefix = tensor[:num_offsets], tensor[num_offsets:]
        table = offsets.T.reshape(-1, *offset_shape(self.source))
        resized = resize_offset_table(table, offset_shape(self.target))
        return np.concatenate([resized.reshape(tensor.shape[-1], -1).T, prefix])


def is_position(path: str, config: BackboneConfig) -> bool:
    """Returns whether a parameter of ours is tied to a grid."""
    return path == POSITION_EMBED or _term_grid(path, config) is not None


def grids_of(config: BackboneConfig, params: PyTree) -> dict[str, Grid]:
    """Returns the (height, width) in patches of every position parameter of a network, by path.

    Args:
      config: Config of the backbone.
      params: Parameters of the network, a nested dict of arrays or of shapes.
    """
    grids = {}
    for path in flatten_paths(params):
        found = term_at(path, config)
        if path == POSITION_EMBED or found is not None:
            grids[path] = config.grid if found is None else found[0].grid
    return grids


def regridded(params: PyTree, config: BackboneConfig, *, target: BackboneConfig) -> PyTree:
    """Resamples our parameters for another image size, as `Regrid` does foreign ones.

    Args:
      params: Parameters of a network with the backbone of `config`, a nested dict of NumPy arrays.
      config: Config of the backbone as it was trained.
      target: The same config with another grid.
    """
    leaves = flatten_paths(params)
    return unflatten_paths(leaves | resampled(leaves, target, grids=grids_of(config, params)))


def resampled(leaves: Mapping[str, Tensor], config: BackboneConfig, *, grids: Mapping[str, Grid]) -> dict[str, Tensor]:
    """Resamples the position parameters that are on another grid than a config's, and returns these alone.

    Args:
      leaves: Parameters of a network, by path, as NumPy arrays.
      config: Config of the backbone.
      grids: The (height, width) in patches of the given parameters, by path; a missing one is on the config's grid.
    """
    moved = {}
    source = grids.get(POSITION_EMBED, config.grid)
    if POSITION_EMBED in leaves and source != config.grid:
        moved[POSITION_EMBED] = _regridded_embedding(leaves[POSITION_EMBED], source, config.grid)
    for site in bias_sites(config):
        for term in site.terms:
            owned = site.owned(term, leaves)
            source = next((grids[path] for path in site.paths(term, owned) if path in grids), site.grid)
            if owned and term.is_tied_to_grid and source != site.grid:
                moved |= site.paths(term, term.resample(owned, source=source, target=site.grid))
    return moved


def _regridded_embedding(leaf: Tensor, source: Grid, target: Grid) -> Tensor:
    """Resamples an embedding [tokens, channels]."""
    num_extra = leaf.shape[0] - num_patches(source)
    return Regrid(kind="absolute", source=source, target=target, num_extra=num_extra)(leaf[None])[0]


@dataclass(frozen=True, kw_only=True)
class Positions:
    """A tensor of a file that holds positions.

    Attributes:
      kind: Kind of tensor, as in `Regrid`.
      length: Number of its patches or offsets.
      target: The (height, width) in patches that the model needs.
      num_extra: Number of its prefix tokens or prefix rows.
    """

    kind: Literal["absolute", "relative"]
    length: int
    target: Grid
    num_extra: int

    @property
    def unit(self) -> str:
        """What its length counts."""
        return "patches" if self.kind == "absolute" else "offsets"

    def source(self, *, stated: Grid | None, source_grid: Grid | None) -> Grid | None:
        """Finds the grid on which the tensor was made; None if its size does not tell.

        Args:
          stated: Grid that the file states; no other can be right.
          source_grid: Grid that the user states, of a window for Swin. It is ignored by tensors of another size.
        """
        if stated is not None:
            return stated if self.fits(stated) and source_grid in (None, stated) else None
        candidates = [grid for grid in (source_grid, self._square()) if grid is not None and self.fits(grid)]
        return candidates[0] if candidates else None

    def regrid(self, source: Grid) -> Regrid:
        """Returns the change from a grid to the one that the model needs."""
        return Regrid(kind=self.kind, source=source, target=self.target, num_extra=self.num_extra)

    def fits(self, grid: Grid) -> bool:
        """Returns whether a grid has so many patches or offsets."""
        return _count(self.kind, grid) == self.length

    def _square(self) -> Grid:
        """Returns the largest square grid with at most this number of patches or offsets."""
        side = math.isqrt(max(self.length, 1))
        side = side if self.kind == "absolute" else (side + 1) // 2
        return side, side


def positions_of(wanted: Expected, shape: tuple[int, ...], config: BackboneConfig) -> Positions | None:
    """Describes a tensor of a file as positions; None if it holds none, or differs in more than their number.

    Args:
      wanted: Tensor that the model needs.
      shape: Shape of the tensor in the file.
      config: Config of the backbone.
    """
    if not is_position(wanted.path, config) or len(shape) != len(wanted.shape):
        return None
    is_absolute = wanted.path == POSITION_EMBED
    axis = 1 if is_absolute else 0
    if any(shape[place] != size for place, size in enumerate(wanted.shape) if place != axis):
        return None
    target = config.grid if is_absolute else _term_grid(wanted.path, config)
    assert target is not None, "the parameter is tied to a grid"
    kind = "absolute" if is_absolute else "relative"
    num_extra = wanted.shape[axis] - _count(kind, target)
    return Positions(kind=kind, length=shape[axis] - num_extra, target=target, num_extra=num_extra)


def _count(kind: Literal["absolute", "relative"], grid: Grid) -> int:
    """Counts the patches or the offsets of a grid."""
    return num_patches(grid) if kind == "absolute" else math.prod(offset_shape(grid))


def _term_grid(path: str, config: BackboneConfig) -> Grid | None:
    """Returns the grid that a term's parameter is tied to: the map, or the window of a stage."""
    found = term_at(path, config)
    return found[0].grid if found is not None and found[1].is_tied_to_grid else None
