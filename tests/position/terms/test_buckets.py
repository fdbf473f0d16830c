"""Buckets against T5's rule in exact arithmetic, and the sum over both axes."""

import numpy as np
import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.position import Buckets
from gauss_vit.position.terms.buckets import bucket_of
from tests.position.terms.cases import drawn


def t5_bucket(position, num_buckets, max_distance):
    """T5's rule by integer powers: the largest bucket whose first distance is not above the position's."""
    half = num_buckets // 2
    exact, distance = half // 2, abs(position)
    sign = half if position > 0 else 0
    if distance < exact:
        return sign + distance
    # Bucket exact + k starts at exact (max_distance / exact)^(k / (half - exact)), compared without roots.
    steps = half - exact
    reached = [k for k in range(steps) if distance**steps * exact**k >= exact**steps * max_distance**k]
    return sign + exact + max(reached)


@pytest.mark.parametrize(("num_buckets", "max_distance"), [(32, 128), (32, 100), (8, 16), (4, 5)])
def test_buckets_are_those_of_t5(num_buckets, max_distance):
    positions = np.arange(-150, 151)
    found = bucket_of(positions, num_buckets=num_buckets, max_distance=max_distance)
    assert found.tolist() == [t5_bucket(int(each), num_buckets, max_distance) for each in positions]


def test_recorded_buckets_of_t5():
    # Hugging Face's `T5Attention._relative_position_bucket`, bidirectional, with 32 buckets and a distance of 128.
    positions = np.array([-128, -64, -32, -20, -12, -8, -7, -1, 0, 1, 7, 8, 12, 20, 32, 64, 128])
    expected = [15, 14, 12, 10, 9, 8, 7, 1, 0, 17, 23, 24, 25, 26, 28, 30, 31]
    assert bucket_of(positions, num_buckets=32, max_distance=128).tolist() == expected


def test_a_logit_is_the_sum_of_its_row_and_its_column():
    term, grid = Buckets(num_buckets=8, max_distance=6), (3, 4)
    params = drawn(term, grid=grid, num_heads=2)
    table = np.asarray(term.table(params, grid))
    rows, columns = np.asarray(params["rows"]), np.asarray(params["columns"])
    for dy in range(-2, 3):
        for dx in range(-3, 4):
            expected = rows[:, t5_bucket(-dy, 8, 6)] + columns[:, t5_bucket(-dx, 8, 6)]
            np.testing.assert_allclose(table[:, dy + 2, dx + 3], expected, rtol=1e-6)


def test_heads_may_share_one_set():
    term = Buckets(per_head=False)
    assert term.table(drawn(term), (3, 5)).shape == (1, 5, 9)


@pytest.mark.parametrize(
    "wrong", [{"num_buckets": 2}, {"num_buckets": 30}, {"max_distance": 8}, {"init_std": float("nan")}]
)
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Buckets(**wrong)
