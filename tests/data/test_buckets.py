"""Buckets: the square of the longest side, and the smallest that an image fits."""

import numpy as np
import pytest

from gauss_vit.data.buckets import smallest_fits, with_square
from gauss_vit.errors import ConfigError

BUCKETS = with_square([(96, 64), (64, 96), (64, 64)])


def test_the_square_of_the_longest_side_comes_last():
    assert BUCKETS == ((64, 64), (64, 96), (96, 64), (96, 96))
    assert with_square(BUCKETS) == BUCKETS
    assert with_square([(64, 96)]) == ((64, 96),)
    assert with_square([]) == ()


def test_the_smallest_that_fits_is_found():
    sizes = np.asarray([(64, 64), (1, 65), (65, 1), (65, 65), (64, 96), (96, 96)])
    assert smallest_fits(sizes, BUCKETS).tolist() == [0, 1, 2, 3, 1, 3]
    assert smallest_fits(np.zeros((0, 2), np.int64), BUCKETS).tolist() == []


def test_what_fits_none_is_named():
    with pytest.raises(ConfigError, match="97 x 20 px, which do not fit") as caught:
        smallest_fits(np.asarray([(20, 20), (97, 20)]), BUCKETS)
    assert "data.buckets" in str(caught.value.do)
