"""Batches filled by threads: every slot once, each batch begun once, in order, in memory of its own."""

import threading
from collections import Counter

import chex
import numpy as np
import pytest

from gauss_vit.batches import ClassTargets
from gauss_vit.data.batching import Filling, filled, padding, slot_groups

NUM_SLOTS = 21
TARGETS = ClassTargets(label=np.int32(0))


@pytest.mark.parametrize("num_slots", [1, 2, 7, 8, 100, 1024])
@pytest.mark.parametrize("num_threads", [0, 1, 16])
def test_groups_hold_every_slot_once_and_in_order(num_slots, num_threads):
    groups = slot_groups(num_slots, num_threads=num_threads)
    assert [slot for group in groups for slot in group] == list(range(num_slots))
    assert max(map(len, groups)) <= 8
    assert len(groups) >= min(num_slots, 4 * num_threads)


def test_padding_is_black_and_not_real():
    batch = padding(3, (4, 5), targets=TARGETS)
    assert (batch.image.shape, batch.image.dtype) == ((3, 4, 5, 3), np.uint8)
    assert (batch.targets.label.dtype, batch.is_real.dtype) == (np.int32, np.bool_)
    assert not batch.image.any() and not batch.targets.label.any() and not batch.is_real.any()
    assert batch.is_flipped is None
    assert not padding(3, (4, 5), targets=TARGETS, may_flip=True).is_flipped.any()


def test_padding_has_the_structure_shapes_and_types_of_any_targets():
    one = {"depth": np.ones((2, 3), np.float32), "pair": (np.int16(4), None)}
    targets = padding(5, (4, 6), targets=one).targets
    expected = {"depth": np.zeros((5, 2, 3), np.float32), "pair": (np.zeros(5, np.int16), None)}
    chex.assert_trees_all_equal(targets, expected, strict=True)


class Counting:
    """Fills slots with their numbers, and counts what it is asked for."""

    def __init__(self):
        self.begun = Counter()
        self.filled = Counter()
        self.lock = threading.Lock()

    def __call__(self, step):
        self.begun[step] += 1
        batch = padding(NUM_SLOTS, (2, 3), targets=TARGETS)

        def fill(slot):
            with self.lock:
                self.filled[step, slot] += 1
            batch.targets.label[slot] = 100 * step + slot

        return Filling(batch=batch, fill=fill)


@pytest.mark.parametrize("num_threads", [0, 1, 2, 16])
def test_every_slot_is_filled_once_and_batches_come_in_order(num_threads):
    counting = Counting()
    batches = list(filled(counting, steps=range(3, 40), num_slots=NUM_SLOTS, num_threads=num_threads))
    expected = 100 * np.arange(3, 40)[:, None] + np.arange(NUM_SLOTS)
    np.testing.assert_array_equal([batch.targets.label for batch in batches], expected)
    assert counting.begun == Counter(range(3, 40))
    assert set(counting.filled.values()) == {1} and len(counting.filled) == expected.size
    assert not np.shares_memory(batches[0].image, batches[1].image)


def test_no_more_than_two_batches_are_filled_ahead():
    counting = Counting()
    next(filled(counting, steps=range(100), num_slots=NUM_SLOTS, num_threads=2))
    assert 1 <= len(counting.begun) <= 4  # The one that is given, two ahead, and a part of the next.


@pytest.mark.parametrize("num_threads", [0, 2])
def test_what_goes_wrong_in_a_slot_comes_after_the_batches_before(num_threads):
    counting = Counting()

    def begin(step):
        def fill(slot):
            if (step, slot) == (2, 13):
                raise KeyError("slot 13")
            counting(step).fill(slot)

        return Filling(batch=padding(NUM_SLOTS, (2, 3), targets=TARGETS), fill=fill)

    batches = filled(begin, steps=range(9), num_slots=NUM_SLOTS, num_threads=num_threads)
    next(batches), next(batches)
    with pytest.raises(KeyError, match="slot 13"):
        next(batches)
    assert list(batches) == []
