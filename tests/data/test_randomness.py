"""The hash: known vectors, bijections, and numbers that look uniform."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gauss_vit.data import randomness

KEYS = st.integers(0, 2**64 - 1)
SIZES = [1, 2, 3, 4, 5, 16, 17, 255, 256, 257, 1_281_167, 2**40 + 3]


def words(values):
    """Numbers as an array."""
    return np.asarray(values, np.uint64)


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
    keys = {randomness.fold(*parts) for parts in ((1, 2), (2, 1), (1,), (1, 2, 0), (1, 3), (-1, 2))}
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


@settings(max_examples=50, deadline=None)
@given(values=st.lists(KEYS, max_size=20))
def test_arrays_are_mixed_as_single_numbers_are(values):
    mixed = randomness.mix_all(words(values))
    assert mixed.dtype == np.uint64
    assert mixed.tolist() == [randomness.mix(value) for value in values]


@settings(max_examples=50, deadline=None)
@given(first=KEYS, pairs=st.lists(st.tuples(KEYS, KEYS), min_size=1, max_size=20))
def test_keys_of_arrays_are_those_of_single_words(first, pairs):
    epochs, indices = (words(column) for column in zip(*pairs, strict=True))
    found = randomness.fold_all(randomness.fold(first, 7), epochs, indices)
    assert found.tolist() == [randomness.fold(first, 7, *pair) for pair in pairs]


@pytest.mark.parametrize("size", SIZES)
def test_arrays_are_permuted_as_single_indices_are(size):
    random = np.random.RandomState(0)
    indices = words([0, size - 1, *(random.randint(0, size, 200) if size > 2 else [])])
    keys = randomness.mix_all(words(range(len(indices))))
    found = randomness.permute_all(indices, size=size, keys=keys)
    expected = [
        randomness.permute(index, size=size, key=key)
        for index, key in zip(indices.tolist(), keys.tolist(), strict=True)
    ]
    assert found.tolist() == expected


def test_what_is_drawn_for_arrays_leaves_them_as_they_are_and_takes_none_at_all():
    indices, keys = words(range(9)), words([3] * 9)
    randomness.permute_all(indices, size=9, keys=keys)
    randomness.fold_all(1, indices, keys)
    np.testing.assert_array_equal(indices, np.arange(9))
    np.testing.assert_array_equal(keys, np.full(9, 3))
    assert randomness.permute_all(words([]), size=9, keys=words([])).size == 0
