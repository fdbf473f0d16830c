"""Resampling of learned positions to another grid, on the host, when weights are loaded.

Both methods are linear and separable: one matrix [target, source] for rows and one for columns.
"""

import numpy as np
from jaxtyping import Float

from gauss_vit.ops.grid import Grid

_CUBIC = -0.5  # torch's cubic coefficient where it antialiases; it is -0.75 where it does not


def resize_grid(values: Float[np.ndarray, "height width channels"], target: Grid) -> Float[np.ndarray, "h w channels"]:
    """Resamples a map of vectors by bicubic interpolation with antialiasing, corners not aligned.

    Source: timm `resample_abs_pos_embed`, which is torch `interpolate(mode="bicubic", antialias=True)`.
    """
    rows = bicubic_matrix(values.shape[0], target[0])
    columns = bicubic_matrix(values.shape[1], target[1])
    return np.einsum("yh,hwc,xw->yxc", rows, values.astype(np.float64), columns, optimize=True).astype(np.float32)


def resize_offset_table(
    table: Float[np.ndarray, "heads dy dx"], target: tuple[int, int]
) -> Float[np.ndarray, "heads target_dy target_dx"]:
    """Resamples a table over patch offsets; near offsets keep more of their detail than far ones.

    Args:
      table: one number for each head and offset.
      target: numbers of offsets (dy, dx), both odd.

    Returns:
      The table itself if it has that shape; otherwise both axes are interpolated.

    Source: timm `resize_rel_pos_bias_table`, after BEiT.
    """
    if table.shape[1:] == target:
        return table
    rows = offset_matrix(table.shape[1], target[0])
    columns = offset_matrix(table.shape[2], target[1])
    return np.einsum("yd,hde,xe->hyx", rows, table.astype(np.float64), columns, optimize=True).astype(np.float32)


def bicubic_matrix(source: int, target: int) -> Float[np.ndarray, "target source"]:
    """Computes the weights of `source` samples in `target` ones; rows sum to 1, and equal sizes give the identity.

    >>> bicubic_matrix(1, 2).tolist()
    [[1.0], [1.0]]
    """
    scale = source / target
    stretch = max(scale, 1.0)
    centers = scale * (np.arange(target) + 0.5)
    distance = np.abs(np.arange(source)[None, :] + 0.5 - centers[:, None]) / stretch
    weights = _cubic(distance)
    return weights / weights.sum(axis=1, keepdims=True)


def offset_matrix(source: int, target: int) -> Float[np.ndarray, "target source"]:
    """Computes the weights of `source` offsets, at distances that grow geometrically, in `target` even ones.

    The distances 1, 1 + q, 1 + q + q^2, ... reach from the center to the edge of the target; between them the
    interpolation is linear, beyond them constant.
    """
    reach = source // 2
    ratio = _ratio(reach, target // 2)
    distances = np.cumsum(ratio ** np.arange(reach))
    nodes = np.concatenate([-distances[::-1], [0.0], distances])
    points = np.arange(target, dtype=np.float64) - target // 2
    return np.stack([np.interp(points, nodes, unit) for unit in np.eye(source)], axis=1)


def _ratio(reach: int, target_reach: int) -> float:
    """Finds q by bisection so that 1 + q + ... + q^(reach - 1) is `target_reach`; the method's range is 1.01 to 1.5."""
    low, high = 1.01, 1.5
    ratio = (low + high) / 2
    while high - low > 1e-6:
        ratio = (low + high) / 2
        if (1 - ratio**reach) / (1 - ratio) > target_reach:
            high = ratio
        else:
            low = ratio
    return ratio


def _cubic(distance: Float[np.ndarray, "target source"]) -> Float[np.ndarray, "target source"]:
    """Keys' cubic kernel: 1 at 0, 0 at 1 and from 2 on."""
    near = ((_CUBIC + 2) * distance - (_CUBIC + 3)) * distance**2 + 1
    far = _CUBIC * (((distance - 5) * distance + 8) * distance - 4)
    return np.where(distance < 1, near, np.where(distance < 2, far, 0.0))
