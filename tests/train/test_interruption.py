"""Signals set a flag; handlers are put back."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from gauss_vit.train.interruption import Interruption

PATIENCE = """
import os, signal, sys
from gauss_vit.train.interruption import Interruption
with Interruption() as interruption:
    for _ in range(int(sys.argv[1])):
        os.kill(os.getpid(), signal.SIGINT)
sys.stdout.write(interruption.name)
"""


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


def test_repeated_term_changes_nothing():
    with Interruption() as interruption:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
        assert interruption.name == "SIGTERM"


@pytest.mark.parametrize(("num_presses", "status", "name"), [(1, 0, "SIGINT"), (2, 0, "SIGINT"), (3, 130, "")])
def test_third_press_abandons(num_presses: int, status: int, name: str):
    command = [sys.executable, "-c", PATIENCE, str(num_presses)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (result.returncode, result.stdout) == (status, name)
    assert ("press again to abandon" in result.stderr) == (num_presses > 1)


def test_other_threads_do_without():
    requested = []

    def work() -> None:
        with Interruption() as interruption:
            requested.append(interruption.is_requested())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert requested == [False]
