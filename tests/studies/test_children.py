"""Processes of a study: their outputs, their statuses, and the signals that reach them."""

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from gauss_vit.studies.children import Children, last_error

STAY = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
print("on", flush=True)
time.sleep(60)
"""


def command(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_output_of_all_processes_is_kept(tmp_path: Path):
    log = tmp_path / "logs" / "a.log"
    children = Children()
    assert children.run(command("print('one')"), log=log, tick=lambda: None) == 0
    assert children.run(command("import sys; sys.exit('two')"), log=log, tick=lambda: None) == 1
    said = log.read_text().splitlines()
    assert said[1::2] == ["one", "two"]
    assert all(line.startswith("$ ") for line in said[::2])


def test_killed_process_has_the_number_of_its_signal(tmp_path: Path):
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert Children().run(command(code), log=tmp_path / "a.log", tick=lambda: None) == -signal.SIGKILL


def test_process_does_not_outlive_what_watches_it(tmp_path: Path):
    def fail() -> None:
        if log.read_text().endswith("\non\n"):
            raise OSError("gone")

    log = tmp_path / "a.log"
    with pytest.raises(OSError, match="gone"):
        Children().run(
            command(STAY.replace("sys.exit(143)", "(print('off', flush=True), sys.exit(143))")), log=log, tick=fail
        )
    assert log.read_text().endswith("\noff\n")


def test_signal_is_passed_on_and_remembered(tmp_path: Path):
    children, log, ticks = Children(), tmp_path / "a.log", []

    def stop() -> None:
        ticks.append(1)
        if log.read_text().endswith("\non\n") and not children.stopped_by:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with children.passing_signals():
        assert children.run(command(STAY), log=log, tick=stop) == 143
    assert children.stopped_by == "SIGTERM"
    assert ticks
    assert signal.getsignal(signal.SIGTERM) == before


def test_signal_that_came_before_the_process_ends_it(tmp_path: Path):
    children = Children()
    children.stopped_by = "SIGTERM"
    code = "import time; time.sleep(60)"
    assert children.run(command(code), log=tmp_path / "a.log", tick=lambda: None) == -signal.SIGTERM


def test_other_threads_leave_signals_alone():
    seen = []

    def inside() -> None:
        with Children().passing_signals():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\ngauss_vit: error[DATA]: gone. DO: x\nlater\n", "gauss_vit: error[DATA]: gone. DO: x"),
        ("Traceback\nKilled\n\n", "Killed"),
        ("$ first\nerror[OLD]: before\n$ second\nKilled\n", "Killed"),
        ("", ""),
    ],
)
def test_reason_is_the_line_that_explains(tmp_path: Path, text: str, expected: str):
    (tmp_path / "a.log").write_text(text)
    assert last_error(tmp_path / "a.log") == expected
