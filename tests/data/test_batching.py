"""Batches filled by threads: every slot once, each batch allocated once, in order, in memory of its own."""

import signal
import threading
from collections import Counter

import chex
import numpy as np
import pytest

from gauss_vit.batches import ClassTargets
from gauss_vit.data.batching import UnfilledBatch, fill_batches, padding, slot_groups

NUM_SLOTS = 21
TARGETS = ClassTargets(label=np.int32(0))


@pytest.mark.parametrize("num_slots", [1, 2, 7, 8, 100, 1024])
@pytest.mark.parametrize("num_threads", [1, 2, 16])
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


def test_padding_repeats_the_targets_of_a_blank_slot():
    one = {"depth": np.zeros((2, 3), np.float32), "pair": (np.int16(-1), None)}
    targets = padding(5, (4, 6), targets=one).targets
    expected = {"depth": np.zeros((5, 2, 3), np.float32), "pair": (np.full(5, -1, np.int16), None)}
    chex.assert_trees_all_equal(targets, expected, strict=True)


class Counting:
    """Fills slots with their numbers, and counts what it is asked for."""

    def __init__(self):
        self.allocated = Counter()
        self.filled = Counter()
        self.lock = threading.Lock()

    def __call__(self, step):
        self.allocated[step] += 1
        batch = padding(NUM_SLOTS, (2, 3), targets=TARGETS)

        def fill(slot):
            with self.lock:
                self.filled[step, slot] += 1
            batch.targets.label[slot] = 100 * step + slot

        return UnfilledBatch(batch=batch, fill=fill)


@pytest.mark.parametrize("num_threads", [0, 1, 2, 16])
def test_every_slot_is_filled_once_and_batches_come_in_order(num_threads):
    counting = Counting()
    batches = list(fill_batches(counting, steps=range(3, 40), num_slots=NUM_SLOTS, num_threads=num_threads))
    expected = 100 * np.arange(3, 40)[:, None] + np.arange(NUM_SLOTS)
    np.testing.assert_array_equal([batch.targets.label for batch in batches], expected)
    assert counting.allocated == Counter(range(3, 40))
    assert set(counting.filled.values()) == {1} and len(counting.filled) == expected.size
    assert not np.shares_memory(batches[0].image, batches[1].image)


def test_no_more_than_two_batches_are_filled_ahead():
    counting = Counting()
    next(fill_batches(counting, steps=range(100), num_slots=NUM_SLOTS, num_threads=2))
    assert 1 <= len(counting.allocated) <= 4  # The one that is given, two ahead, and a part of the next.


@pytest.mark.parametrize("num_threads", [0, 2])
def test_what_goes_wrong_in_a_slot_comes_after_the_batches_before(num_threads):
    counting = Counting()

    def allocate(step):
        def fill(slot):
            if (step, slot) == (2, 13):
                raise KeyError("slot 13")
            counting(step).fill(slot)

        return UnfilledBatch(batch=padding(NUM_SLOTS, (2, 3), targets=TARGETS), fill=fill)

    batches = fill_batches(allocate, steps=range(9), num_slots=NUM_SLOTS, num_threads=num_threads)
    next(batches), next(batches)
    with pytest.raises(KeyError, match="slot 13"):
        next(batches)
    assert list(batches) == []


class Slow:
    """Lets no slot be finished before it is told to, and counts those that were begun."""

    def __init__(self):
        self.started = threading.Semaphore(0)
        self.may_finish = threading.Event()
        self.num_begun = 0

    def __call__(self, step):
        def fill(slot):
            self.num_begun += 1
            self.started.release()
            self.may_finish.wait()

        return UnfilledBatch(batch=padding(NUM_SLOTS, (2, 3), targets=TARGETS), fill=fill)


def wait_for_the_end(threads):
    """Waits until the threads of a pool have ended."""
    for thread in threads:
        thread.join(timeout=10)
        assert not thread.is_alive()


def pool_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("input")]


def test_closing_begins_no_further_group_and_ends_the_threads():
    counting = Counting()
    batches = fill_batches(counting, steps=range(10**9), num_slots=NUM_SLOTS, num_threads=2)
    next(batches)
    threads = pool_threads()
    assert threads
    batches.close()
    wait_for_the_end(threads)
    assert len(counting.allocated) <= 4
    assert list(batches) == []


@pytest.fixture
def interruptible():
    """SIGINT raises KeyboardInterrupt, also in a process that was started to ignore it."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupted_wait_is_not_prolonged_by_slow_slots():
    slow = Slow()
    batches = fill_batches(slow, steps=range(9), num_slots=NUM_SLOTS, num_threads=2)

    is_interrupted = threading.Event()

    def interrupt():
        slow.started.acquire(), slow.started.acquire()
        # One that comes just before a thread falls asleep does not wake it: Python would see it after the wait.
        while not is_interrupted.is_set():
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            is_interrupted.wait(timeout=1)

    interruption = threading.Thread(target=interrupt)
    interruption.start()
    with pytest.raises(KeyboardInterrupt):
        next(batches)
    is_interrupted.set()
    interruption.join()
    threads = pool_threads()
    slow.may_finish.set()
    wait_for_the_end(threads)
    assert slow.num_begun == 4  # Each of the two threads ends its group of two slots.
