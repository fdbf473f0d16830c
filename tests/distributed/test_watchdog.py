"""A wait that is over its limit is found, one that is not never is."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gauss_vit.distributed.watchdog import Watchdog

STUCK = """
import ctypes, sys
from pathlib import Path
from gauss_vit.distributed import ending, hang
from gauss_vit.distributed.watchdog import Watchdog

def expired(wait, seconds):
    others = ["process 1 waits for the observers since 9 s"]
    ending.at_once(hang.error_of(wait, seconds, others=others, folder=Path(sys.argv[1])))

with Watchdog(expired, every_seconds=0.05) as watchdog, watchdog.limited("a device", 0.3):
    ctypes.CDLL(None).poll(None, 0, 60_000)
"""
HOLDS_THE_LOCK = """
import ctypes
from gauss_vit.distributed import watchdog as watchdogs
watchdogs._GRACE_SECONDS = 0.5
watchdog = watchdogs.Watchdog(lambda wait, seconds: None, every_seconds=0.05, last_resort=True)
with watchdog, watchdog.limited("a device", 0.5):
    watchdog._is_done.wait(0.2)
    ctypes.PyDLL(None).poll(None, 0, 60_000)
"""
PAUSED = """
import sys, time
from pathlib import Path
from gauss_vit.distributed import hang
from gauss_vit.distributed.watchdog import Watchdog
expired = lambda wait, seconds: hang.end(wait, seconds, folder=Path("."))
with Watchdog(expired, every_seconds=0.05) as watchdog, watchdog.limited("a device", 1.0):
    sys.stdout.write("waiting\\n")
    sys.stdout.flush()
    time.sleep(0.3)
"""


def looking(found: list[tuple[str, float]]) -> Watchdog:
    """Makes a watchdog that looks often, and notes what it finds."""
    return Watchdog(lambda wait, seconds: found.append((wait.what, seconds)), every_seconds=0.01)


def until(found: list[tuple[str, float]]) -> None:
    """Waits until something is found."""
    deadline = time.monotonic() + 5
    while not found:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_wait_over_its_limit_is_found():
    found: list[tuple[str, float]] = []
    with looking(found) as watchdog, watchdog.limited("a step", 0.05):
        until(found)
    what, seconds = found[0]
    assert what == "a step"
    assert 0.05 <= seconds < 1.0


def test_every_new_wait_begins_from_zero():
    found: list[tuple[str, float]] = []
    with looking(found) as watchdog:
        for step in range(40):
            with watchdog.limited(f"step {step}", 2.0):
                time.sleep(0.01)
        with watchdog.limited("outer", 2.0):
            for step in range(20):
                with watchdog.limited(f"inner {step}", 2.0):
                    time.sleep(0.01)
    assert found == []


def test_innermost_limit_counts_and_the_outer_one_after_it():
    found: list[tuple[str, float]] = []
    with looking(found) as watchdog, watchdog.limited("outer", 0.02):
        with watchdog.limited("inner", 60.0):
            time.sleep(0.1)
            assert found == []
        until(found)
    assert found[0][0] == "outer"


def test_nothing_is_watched_outside_of_a_wait():
    found: list[tuple[str, float]] = []
    with looking(found) as watchdog:
        with pytest.raises(ValueError, match="broken"), watchdog.limited("a step", 0.03):
            raise ValueError("broken")
        time.sleep(0.1)
    assert found == []


def test_each_item_has_the_limit_and_its_use_has_none():
    found: list[tuple[str, float]] = []

    def items() -> Iterator[int]:
        yield from range(3)
        time.sleep(0.2)

    with looking(found) as watchdog:
        taken = []
        for item in watchdog.each(items(), "a batch", 0.05):
            time.sleep(0.1)
            assert found == []
            taken.append(item)
    assert taken == [0, 1, 2]
    assert found[0][0] == "a batch"


def test_watchdog_says_what_is_waited_for_and_for_how_long():
    with looking([]) as watchdog:
        assert watchdog.now() == (None, 0.0)
        with watchdog.limited("a step", 60.0):
            time.sleep(0.1)
            wait, seconds = watchdog.now()
    assert wait is not None
    assert (wait.what, wait.limit) == ("a step", 60.0)
    assert 0.0 < seconds < 5.0


def test_watchdog_leaves_no_thread():
    before = threading.active_count()
    with looking([]):
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


def test_stuck_process_ends_with_its_line_and_its_stacks(tmp_path: Path):
    start = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", STUCK, str(tmp_path)], capture_output=True, text=True, timeout=30, check=False
    )
    assert time.monotonic() - start < 10
    assert ended.returncode == 6
    (file,) = tmp_path.glob("hang-*.log")
    assert ended.stderr.count("\n") == 1, "stacks are not for the terminal"
    assert "gauss_vit: error[HANG]: waited 0 s for a device, limit 0.3 s" in ended.stderr
    assert f"process 1 waits for the observers since 9 s; stacks of all threads in {file}. DO: " in ended.stderr
    assert "(most recent call first)" in file.read_text()
    assert "--config.limits" in ended.stderr


def test_stacks_come_on_the_terminal_where_the_folder_cannot_be_written(tmp_path: Path):
    ended = subprocess.run(
        [sys.executable, "-c", STUCK, str(tmp_path / "absent")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 6
    assert "(most recent call first)" in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("gauss_vit: error[HANG]: ")


def test_last_resort_ends_a_process_whose_threads_cannot_run():
    start = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", HOLDS_THE_LOCK], capture_output=True, text=True, timeout=30, check=False
    )
    assert time.monotonic() - start < 10
    assert ended.returncode == 1
    assert "Timeout" in ended.stderr


def test_pause_of_the_whole_process_does_not_count():
    with subprocess.Popen([sys.executable, "-c", PAUSED], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(1.5)
        os.kill(process.pid, signal.SIGCONT)
        assert process.wait(timeout=10) == 0
