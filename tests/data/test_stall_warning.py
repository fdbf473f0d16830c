"""A run that waits for its data says so, and one that does not is silent."""

import threading
import time

import pytest

from gauss_vit.data.stall_warning import announce_waits
from gauss_vit.errors import DataError


def test_a_slow_batch_is_announced_until_it_comes():
    said, enough = [], threading.Event()

    def report(line):
        said.append(line)
        if len(said) == 3:
            enough.set()

    def slow():
        yield "first"
        assert enough.wait(60)
        yield "second"

    batches = announce_waits(slow(), report=report, after_seconds=0.01, every_seconds=0.01)
    assert list(batches) == ["first", "second"]
    assert len(said) >= 3
    assert all(line.startswith("waiting for data: ") and line.endswith(" s") for line in said)


def test_many_slow_batches_do_not_fill_the_log():
    said, has_said = [], threading.Event()

    def report(line):
        said.append(line)
        has_said.set()

    def slow():
        for index in range(5):
            assert index or has_said.wait(60), "the first batch is awaited until that is said"
            time.sleep(0.02)
            yield index

    assert list(announce_waits(slow(), report=report, after_seconds=0.005, every_seconds=600.0)) == list(range(5))
    assert len(said) == 1


def test_batches_that_come_in_time_pass_in_silence_and_leave_no_thread():
    before, said = threading.active_count(), []
    assert list(announce_waits(iter(range(50)), report=said.append)) == list(range(50))
    assert (said, threading.active_count()) == ([], before)


def test_an_error_in_making_a_batch_comes_through_and_ends_the_watch():
    def failing():
        yield 1
        raise DataError("damaged")

    before, stream = threading.active_count(), announce_waits(failing(), report=lambda line: None)
    assert next(stream) == 1
    with pytest.raises(DataError, match="damaged"):
        next(stream)
    assert threading.active_count() == before
