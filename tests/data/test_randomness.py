"""The hash: known vectors, bijections, and numbers that look uniform."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gauss_vit.data import randomness

KEYS = st.integers(0, 2**64 - 1)


def test_mix_gives_the_published_stream_of_splitmix64():
    stream = [randomness.mix(step * randomness.GOLDEN_GAMMA & randomness.MASK) for step in range(3)]
    assert stream == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def test_fold_is_golden():
    assert [randomness.fold(), randomness.fold(0), randomness.fold(1, 2)] == [
        0,
        0xA706DD2F4D197E6F,
        0xD97D4205FDAB0823,
    ]


def test_fold_depends_on_every_word_and_on_their_order():
    keys = {randomness.fold(*words) for words in ((1, 2), (2, 1), (1,), (1, 2, 0), (1, 3), (-1, 2))}
    assert len(keys) == 6


def test_negative_words_count_modulo_2_to_the_64():
    assert randomness.fold(-1) == randomness.fold(2**64 - 1)


@settings(max_examples=50, deadline=None)
@given(key=KEYS, draw=st.integers(0, 1000))
def test_uniform_is_in_the_half_open_unit_interval(key, draw):
    assert 0 <= randomness.uniform(key, draw) < 1


def test_uniform_has_the_moments_of_the_uniform_law():
    draws = np.array([randomness.uniform(7, draw) for draw in range(20_000)])
    # Five standard errors: sqrt(1/12/n) for the mean, sqrt(1/180/n) for the variance, 1/sqrt(n) for the correlation.
    assert abs(draws.mean() - 0.5) < 5 * math.sqrt(1 / 12 / draws.size)
    assert abs(draws.var() - 1 / 12) < 5 * math.sqrt(1 / 180 / draws.size)
    assert abs(np.corrcoef(draws[1:], draws[:-1])[0, 1]) < 5 / math.sqrt(draws.size)


def test_below_gives_every_number_equally_often():
    counts = np.bincount([randomness.below(7, key=3, draw=draw) for draw in range(14_000)], minlength=7)
    chi_squared = float(((counts - 2000) ** 2 / 2000).sum())
    assert counts.size == 7
    assert chi_squared < 33.1  # The 1e-5 tail of chi-squared with 6 degrees of freedom.


@pytest.mark.parametrize("size", [*range(1, 70), 255, 256, 257, 1437])
def test_permute_is_a_bijection(size):
    assert sorted(randomness.permute(index, size=size, key=11) for index in range(size)) == list(range(size))


@settings(max_examples=20, deadline=None)
@given(key=KEYS, size=st.integers(1, 300))
def test_permute_is_a_bijection_for_every_key(key, size):
    assert sorted(randomness.permute(index, size=size, key=key) for index in range(size)) == list(range(size))


def test_permute_stays_inside_large_sets():
    size = 1_281_167
    images = {randomness.permute(index, size=size, key=5) for index in range(0, size, 997)}
    assert len(images) == len(range(0, size, 997))
    assert max(images) < size


def test_every_permutation_of_few_is_reached():
    orders = {tuple(randomness.permute(i, size=5, key=key) for i in range(5)) for key in range(1000)}
    assert len(orders) == math.factorial(5)


def test_permute_is_golden():
    assert [randomness.permute(index, size=10, key=0) for index in range(10)] == [3, 2, 8, 4, 5, 9, 7, 0, 1, 6]


@pytest.mark.parametrize("index", [-1, 5])
def test_permute_refuses_an_index_outside(index):
    with pytest.raises(IndexError, match=r"not in 0\.\.4"):
        randomness.permute(index, size=5, key=0)
