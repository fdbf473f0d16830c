"""Work that takes long is announced, repeated and timed; what is quick is silent."""

import logging
import threading

import pytest

from gauss_vit.waiting import announced


def test_long_work_is_announced_repeated_and_timed():
    said, enough = [], threading.Event()

    def report(line: str) -> None:
        said.append(line)
        if len(said) == 3:
            enough.set()

    with announced("reading", report=report, after_seconds=0.01, every_seconds=0.01):
        assert enough.wait(60)
    assert said[0] == "reading ..."
    assert all(line.startswith("reading: ") and line.endswith(" s") for line in said[1:-1])
    assert said[-1].startswith("reading took ")


def test_quick_work_is_silent_and_leaves_no_thread():
    before, said = threading.active_count(), []
    for _ in range(20):
        with announced("reading", report=said.append):
            pass
    assert (said, threading.active_count()) == ([], before)


def test_an_error_passes_and_ends_the_watch():
    before = threading.active_count()
    with pytest.raises(KeyError), announced("reading"):
        raise KeyError
    assert threading.active_count() == before


def test_lines_go_to_the_log_of_the_package(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, logger="gauss_vit")
    with announced("reading", after_seconds=0.0):
        while not caplog.messages:
            pass
    assert caplog.messages[0] == "reading ..."
