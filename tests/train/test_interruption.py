"""Signals set a flag; handlers are put back."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gauss_vit.distributed import processes
from gauss_vit.train import interruption as interruption_module
from gauss_vit.train.interruption import Interruption

PATIENCE = """
import os, signal, sys
from gauss_vit.train.interruption import Interruption
with Interruption() as interruption:
    for _ in range(int(sys.argv[1])):
        os.kill(os.getpid(), signal.SIGINT)
sys.stdout.write(interruption.name)
"""

STUCK = """
import ctypes, sys
from gauss_vit.train.interruption import Interruption
with Interruption():
    sys.stdout.write("stuck\\n")
    sys.stdout.flush()
    for _ in range(60):
        ctypes.CDLL(None).poll(None, 0, 60_000)
"""


def num_open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_is_a_request_and_ends_nothing(number: signal.Signals):
    before = signal.getsignal(number)
    with Interruption() as interruption:
        assert not interruption.is_requested()
        os.kill(os.getpid(), number)
        assert interruption.is_requested()
        assert interruption.name == number.name
    assert signal.getsignal(number) == before


def test_hangup_that_is_ignored_remains_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interruption() as interruption:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not interruption.is_requested(), "as after nohup"
    finally:
        signal.signal(signal.SIGHUP, before)


def test_same_signal_at_once_is_one():
    with Interruption() as interruption:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
        assert interruption.name == "SIGTERM"


def test_signals_reach_a_stuck_main_thread_and_the_second_one_ends_it():
    with subprocess.Popen(
        [sys.executable, "-c", STUCK], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "stuck\n"
            process.send_signal(signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=1.2)
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=2)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "SIGTERM again: ended before the state was saved" in said


def test_closing_the_terminal_after_ctrl_c_does_not_abandon_the_save(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(interruption_module, "_SAME_SECONDS", -1.0)
    with Interruption() as interruption:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGHUP)
    assert interruption.name == "SIGINT"


def test_handlers_leave_no_thread_and_no_open_file():
    threads, files = threading.active_count(), num_open_files()
    with Interruption():
        assert threading.active_count() == threads + 1
    assert threading.active_count() == threads
    assert num_open_files() == files
    assert signal.set_wakeup_fd(-1) == -1


@pytest.mark.parametrize(("num_presses", "status", "name"), [(1, 0, "SIGINT"), (2, 0, "SIGINT"), (3, 130, "")])
def test_third_press_abandons(num_presses: int, status: int, name: str):
    command = [sys.executable, "-c", PATIENCE, str(num_presses)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (result.returncode, result.stdout) == (status, name)
    assert ("press again to abandon" in result.stderr) == (num_presses > 1)


def test_third_press_abandons_also_where_nothing_can_be_said():
    command = [sys.executable, "-c", PATIENCE, "3"]
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=full, timeout=20, check=False)
    assert result.returncode == 130


def test_other_threads_do_without():
    requested = []

    def work() -> None:
        with Interruption() as interruption:
            requested.append(interruption.is_requested())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert requested == [False]


def test_many_processes_stop_at_the_turn_that_they_agree_on(monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []
    monkeypatch.setattr(processes, "count", lambda: 2)
    monkeypatch.setattr(processes, "ask_to_stop", asked.append)
    monkeypatch.setattr(processes, "is_stop_agreed", lambda turn: turn == 3)
    monkeypatch.setattr(processes, "reason_to_stop", lambda: "SIGTERM of process 1")
    with Interruption() as interruption:
        os.kill(os.getpid(), signal.SIGHUP)
        assert [interruption.is_requested() for _ in range(2)] == [False, False]
        assert interruption.name == "", "the run may end before all have agreed"
        assert [interruption.is_requested() for _ in range(3)] == [True, True, True]
        assert interruption.name == "SIGTERM of process 1"
    assert asked == ["SIGHUP"]
