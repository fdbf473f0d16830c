"""Offsets and distances on a grid against loops over pairs of patches."""

import itertools
import math

import numpy as np
import pytest

from gauss_vit.ops.offsets import euclidean, manhattan, offsets


@pytest.mark.parametrize("grid", [(1, 1), (1, 4), (3, 2)])
def test_every_pair_of_patches_finds_its_offset_and_distances(grid):
    height, width = grid
    found, straight, along = offsets(grid), euclidean(grid), manhattan(grid)
    assert {table.dtype for table in (found, straight, along)} == {np.dtype("float32")}
    patches = list(itertools.product(range(height), range(width)))
    for query, key in itertools.product(patches, patches):
        dy, dx = query[0] - key[0], query[1] - key[1]
        place = dy + height - 1, dx + width - 1
        assert tuple(found[:, *place]) == (dy, dx)
        assert straight[place] == pytest.approx(math.hypot(dy, dx))
        assert along[place] == abs(dy) + abs(dx)
