"""The Swin of MMSegmentation, MMDetection and, under a UPerNet, transformers.

Source: MMDetection 3.3 and MMSegmentation 1.2, `SwinTransformer`; transformers 5, `SwinBackbone`.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from gauss_vit.config.schema import JsonValue
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.models.swin import SwinConfig
from gauss_vit.ops.grid import Grid
from gauss_vit.position.terms.relative import RelativeTable
from gauss_vit.weights.names.naming import Tensor

_EPSILON = 1e-5
"""Epsilon of the normalisations of Swin and of the stages, which not all can be set there."""

_TRACKED, _MEAN = "num_batches_tracked", "running_mean"
_INDEX, _TABLE = "relative_position_index", "w_msa.relative_position_bias_table"


def swin_obstacle(backbone: BackboneConfig) -> str:
    """Says why none of them computes the same as a backbone, apart from terms that they lack; empty if they do."""
    if not isinstance(backbone, SwinConfig):
        return "it is not on a Swin"
    return next((reason for reason, is_true in _OBSTACLES.items() if is_true(backbone)), "")


def openmmlab_swin(backbone: SwinConfig) -> dict[str, JsonValue]:
    """Returns the config of a `SwinTransformer` of MMSegmentation or MMDetection that gives the maps of all stages."""
    return {
        "type": "SwinTransformer",
        "embed_dims": backbone.width,
        "patch_size": backbone.patch_size[0],
        "strides": [backbone.patch_size[0], *(2 for _ in backbone.depths[1:])],
        "depths": list(backbone.depths),
        "num_heads": list(backbone.num_heads),
        "window_size": backbone.window[0],
        # MMDetection multiplies it by the width, and takes whole products alone that are integers.
        "mlp_ratio": int(backbone.mlp_ratio) if backbone.mlp_ratio == int(backbone.mlp_ratio) else backbone.mlp_ratio,
        "out_indices": list(range(len(backbone.depths))),
    }


def buffers(names: Iterable[str], *, window: Grid, step: int) -> dict[str, Tensor]:
    """Returns the tensors that these libraries store beside the weights, so that a strict loader misses none.

    Args:
      names: Names of the weights.
      window: The (height, width) of an attention window.
      step: Number of updates, which is what `num_batches_tracked` counts.
    """
    found = {}
    for name in names:
        start, _, last = name.rpartition(".")
        if last == _MEAN:
            found[f"{start}.{_TRACKED}"] = np.array(step, np.int64)
        if name.endswith(_TABLE):
            found[f"{start}.{_INDEX}"] = _offset_index(window)
    return found


def _offset_index(window: Grid) -> Tensor:
    """Returns the row of the table for each (query, key) of a window, int64."""
    height, width = window
    rows, columns = np.indices(window).reshape(2, -1)
    offset_rows = rows[:, None] - rows + height - 1
    offset_columns = columns[:, None] - columns + width - 1
    return (offset_rows * (2 * width - 1) + offset_columns).astype(np.int64)


def _has_one_table(backbone: SwinConfig) -> bool:
    match [term for term in backbone.position.all_terms if term.is_in_foreign_files]:
        case [RelativeTable(has_prefix=False)]:
            return True
        case _:
            return False


_OBSTACLES: Mapping[str, Callable[[SwinConfig], bool]] = {
    "its windows are fitted to the maps (windows is not fixed)": lambda backbone: backbone.windows != "fixed",
    "it has no relative table, or other position biases": lambda backbone: not _has_one_table(backbone),
    "it is a SwinV2, or has no biases": lambda backbone: (
        (backbone.similarity, backbone.norm, backbone.biases) != ("product", "before", "all")
    ),
    f"its LayerNorm epsilon is not {_EPSILON}": lambda backbone: backbone.norm_epsilon != _EPSILON,
    "its windows or patches are not square": lambda backbone: (
        len(set(backbone.window)) > 1 or len(set(backbone.patch_size)) > 1
    ),
}
