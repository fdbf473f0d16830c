"""Position parameters from another grid, resampled: foreign ones, found by their shapes, in their layout, and our own.

Every known foreign format stores absolute embeddings as [1, prefix tokens + patches, channels] and relative tables as
[offsets + prefix rows, heads].
"""

import math
import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import PyTree

from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.models.swin import SwinConfig
from gauss_vit.ops.grid import Grid, num_patches, offset_shape
from gauss_vit.ops.resize import resize_grid, resize_offset_table
from gauss_vit.tree import flatten_paths, unflatten_paths
from gauss_vit.weights.name_tables import ModelConfig
from gauss_vit.weights.naming import Expected, Tensor

_ABSOLUTE = "backbone.position_embed"
_RELATIVE = r"backbone\.(?:stages\.(\d+)\.)?.*\.relative\.table(?:_and_prefix)?"


@dataclass(frozen=True, kw_only=True)
class Regrid:
    """A change of grid for one tensor of theirs.

    Attributes:
      kind: "absolute" for an embedding, "relative" for a table over offsets.
      source: the (height, width) in patches on which it was made.
      target: the one that is wanted.
      num_extra: prefix tokens before the patches, or prefix rows after the offsets, which stay as they are.
    """

    kind: Literal["absolute", "relative"]
    source: Grid
    target: Grid
    num_extra: int

    def __call__(self, tensor: Tensor) -> Tensor:
        """Resamples a tensor as timm does when it loads weights."""
        return self._absolute(tensor) if self.kind == "absolute" else self._relative(tensor)

    def _absolute(self, tensor: Tensor) -> Tensor:
        prefix, patches = tensor[0, : self.num_extra], tensor[0, self.num_extra :]
        resized = resize_grid(patches.reshape(*self.source, -1), self.target)
        return np.concatenate([prefix, resized.reshape(-1, tensor.shape[-1])])[None]

    def _relative(self, tensor: Tensor) -> Tensor:
        num_offsets = tensor.shape[0] - self.num_extra
        offsets, prefix = tensor[:num_offsets], tensor[num_offsets:]
        table = offsets.T.reshape(-1, *offset_shape(self.source))
        resized = resize_offset_table(table, offset_shape(self.target))
        return np.concatenate([resized.reshape(tensor.shape[-1], -1).T, prefix])


def is_position(path: str) -> bool:
    """Whether a parameter of ours is tied to a grid."""
    return path == _ABSOLUTE or re.fullmatch(_RELATIVE, path) is not None


def regridded(params: PyTree, config: ModelConfig, *, target: ModelConfig) -> PyTree:
    """Fits parameters of ours to another image size, as `Regrid` does foreign ones.

    Args:
      params: of the model of `config`, a nested dict of NumPy arrays.
      config: as what they were trained.
      target: the same but for its grid.
    """
    leaves = flatten_paths(params)
    return unflatten_paths(
        {
            path: _regridded(path, leaf, config, target=target) if is_position(path) else leaf
            for path, leaf in leaves.items()
        }
    )


def _regridded(path: str, leaf: Tensor, config: ModelConfig, *, target: ModelConfig) -> Tensor:
    """Resamples one position parameter of ours: [tokens, channels], or tables behind the axes of blocks and heads."""
    if path == _ABSOLUTE:
        num_extra = leaf.shape[0] - num_patches(config.grid)
        return Regrid(kind="absolute", source=config.grid, target=target.grid, num_extra=num_extra)(leaf[None])[0]
    source_shape, target_shape = (offset_shape(_table_grid(path, model)) for model in (config, target))
    if not path.endswith("_and_prefix"):
        resized = resize_offset_table(leaf.reshape(-1, *source_shape), target_shape)
        return resized.reshape(*leaf.shape[:-2], *target_shape)
    offsets, prefix = np.split(leaf, [math.prod(source_shape)], axis=-1)
    resized = resize_offset_table(offsets.reshape(-1, *source_shape), target_shape)
    return np.concatenate([resized.reshape(*leaf.shape[:-1], -1), prefix], axis=-1)


def regrid_of(
    wanted: Expected, shape: tuple[int, ...], config: BackboneConfig, *, source_grid: Grid | None
) -> Regrid | None:
    """Finds how a tensor of a file must change to fit; None where it is taken, or refused, as it is.

    Args:
      wanted: what the model wants.
      shape: of the tensor in the file.
      config: of the model.
      source_grid: where its positions were made; found from the shape when None, as a square.
    """
    if not is_position(wanted.path) or len(shape) != len(wanted.shape):
        return None
    is_absolute = wanted.path == _ABSOLUTE
    axis = 1 if is_absolute else 0
    others_differ = any(shape[place] != size for place, size in enumerate(wanted.shape) if place != axis)
    if others_differ or (source_grid is None and shape == wanted.shape):
        return None
    target = config.grid if is_absolute else _table_grid(wanted.path, config)
    count = num_patches if is_absolute else _num_offsets
    num_extra = wanted.shape[axis] - count(target)
    length = shape[axis] - num_extra
    source = source_grid or _square(length, is_absolute=is_absolute)
    if count(source) != length or source == target:
        return None
    kind = "absolute" if is_absolute else "relative"
    return Regrid(kind=kind, source=source, target=target, num_extra=num_extra)


def _table_grid(path: str, config: BackboneConfig) -> Grid:
    """The grid of a relative table: the model's, or the window of a stage."""
    if not isinstance(config, SwinConfig):
        return config.grid
    stage = re.fullmatch(_RELATIVE, path)
    assert stage is not None, "only paths of relative tables come here"
    return config.stage(int(stage[1])).block.attention.grid


def _num_offsets(grid: Grid) -> int:
    return math.prod(offset_shape(grid))


def _square(length: int, *, is_absolute: bool) -> Grid:
    """The square grid of so many patches or offsets, or the nearest below."""
    side = math.isqrt(max(length, 1))
    side = side if is_absolute else (side + 1) // 2
    return side, side
