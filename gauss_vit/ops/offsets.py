"""Offsets between two patches of a grid, query minus key, and their lengths, as constants of a program."""

import numpy as np
from jaxtyping import Float

from gauss_vit.ops.grid import Grid


def offsets(grid: Grid) -> Float[np.ndarray, "2 dy dx"]:
    """Returns (dy, dx) of every entry of an offset table, in patches; (0, 0) is in the middle.

    >>> offsets((1, 2))[1].tolist()
    [[-1.0, 0.0, 1.0]]
    """
    rows, columns = (np.arange(1 - size, size, dtype=np.float32) for size in grid)
    return np.stack(np.meshgrid(rows, columns, indexing="ij"))


def euclidean(grid: Grid) -> Float[np.ndarray, "dy dx"]:
    """Computes the distance sqrt(dy^2 + dx^2) of every offset, in patches.

    >>> euclidean((4, 5))[0, 0].item()
    5.0
    """
    return np.sqrt(np.square(offsets(grid)).sum(axis=0))


def manhattan(grid: Grid) -> Float[np.ndarray, "dy dx"]:
    """Computes the distance |dy| + |dx| of every offset, in patches.

    >>> manhattan((4, 5))[0, 0].item()
    7.0
    """
    return np.abs(offsets(grid)).sum(axis=0)
