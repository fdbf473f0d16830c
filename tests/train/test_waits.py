"""Every wait of a run has a limit of its own, and a run that is only slow goes on."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from gauss_vit.distributed import peers
from gauss_vit.distributed.watchdog import Wait, Watchdog
from gauss_vit.train.limits import Limits
from gauss_vit.train.loop import fit
from gauss_vit.train.waits import Waits, shapes_of
from tests.train.incidents import with_batches
from tests.train.toy import run_in

LIMITS = Limits(restore=1.0, compile=2.0, data=3.0, step=4.0, observe=5.0, save=6.0)
STUCK = """
import dataclasses, itertools, sys, time
from pathlib import Path
from gauss_vit.train.limits import Limits
from gauss_vit.train.loop import fit
from tests.train.toy import batch_of, run_in

def train(start):
    yield from (batch_of(step, 8) for step in range(start, 7))
    time.sleep(600)

run = run_in(Path(sys.argv[1]), limits=Limits(data=1.0))
fit(dataclasses.replace(run, feed=dataclasses.replace(run.feed, train=train)))
"""


class Noted(Watchdog):
    """Notes the current wait."""

    def __init__(self) -> None:
        super().__init__(lambda wait, seconds: None)

    @property
    def current(self) -> tuple[str, float]:
        """What is waited for, and its limit."""
        wait = self._current
        assert isinstance(wait, Wait)
        return wait.what, wait.limit


def test_every_wait_has_a_name_and_its_own_limit():
    watchdog = Noted()
    waits = Waits(watchdog, LIMITS)
    with waits.running():
        assert watchdog.current == ("what comes before the next step", 2.0)
        with waits.restoring():
            assert watchdog.current == ("the newest checkpoint to be read", 1.0)
        with waits.initializing():
            assert watchdog.current == ("the initial parameters", 1.0)
        with waits.observing(3):
            assert watchdog.current == ("the observers at step 3", 5.0)
        with waits.saving(3):
            assert watchdog.current == ("checkpoint 3, or the one before it, to be saved", 6.0)
        assert watchdog.current == ("what comes before the next step", 2.0)


def test_other_shapes_may_compile_at_any_time():
    watchdog = Noted()
    waits = Waits(watchdog, LIMITS)
    limits = []
    for step, side in enumerate((64, 64, 64, 96, 96, 96, 64)):
        with waits.step(step, shapes=shapes_of({"image": np.zeros((2, side)), "size": 3})):
            limits.append(watchdog.current[1])
    assert limits == [2.0, 2.0, 4.0, 2.0, 2.0, 4.0, 4.0]


def test_result_of_a_step_has_the_limit_of_a_step():
    watchdog = Noted()
    waits = Waits(watchdog, LIMITS)
    limits = []
    for step in range(3):
        with waits.step(step):
            pass
        with waits.result(step):
            assert watchdog.current[0] == f"the result of training step {step}"
            limits.append(watchdog.current[1])
    assert limits == [2.0, 4.0, 4.0]


def test_first_steps_may_compile():
    watchdog = Noted()
    waits = Waits(watchdog, LIMITS)
    limits = []
    for step in range(4):
        with waits.step(step):
            assert watchdog.current[0] == f"training step {step}"
            limits.append(watchdog.current[1])
    assert limits == [2.0, 2.0, 4.0, 4.0]


def test_slow_steps_raise_their_limit():
    watchdog = Noted()
    waits = Waits(watchdog, Limits(step=0.001))
    for step in range(3):
        with waits.step(step):
            time.sleep(0.02)
    with waits.step(3):
        assert 0.2 <= watchdog.current[1] < 60.0


def test_batches_of_an_evaluation_are_read_and_measured_within_limits():
    watchdog = Noted()

    def read():
        for number in range(3):
            assert watchdog.current == ("a batch of val to be read", 3.0)
            yield number

    limits = []
    for _ in Waits(watchdog, LIMITS).measured(read(), of="val"):
        assert watchdog.current[0] == "a batch of val to be measured"
        limits.append(watchdog.current[1])
    assert limits == [2.0, 2.0, 4.0]


def test_interrupted_evaluation_is_limited_no_longer():
    watchdog = Noted()
    waits = Waits(watchdog, LIMITS)
    with waits.running():
        for _ in waits.measured(iter([1, 2]), of="val"):
            break
        assert watchdog.current[0] == "what comes before the next step"


@pytest.mark.optimized
def test_slow_batches_do_not_end_a_run_whose_steps_have_short_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    ended: list[str] = []
    monkeypatch.setattr(peers, "leave", lambda error: ended.append(error.message))

    def slow(step, batch):
        if step == 4:
            time.sleep(2.5)
        return batch

    fit(with_batches(run_in(tmp_path, limits=Limits(step=1.0)), slow))
    assert ended == []


@pytest.mark.optimized
def test_stuck_data_source_ends_the_run(tmp_path: Path):
    ended = subprocess.run(
        [sys.executable, "-c", STUCK, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 6, ended.stderr
    (stacks,) = tmp_path.glob("hang-*.log")
    line = ended.stderr.splitlines()[-1]
    assert line.startswith("gauss_vit: error[HANG]: waited ")
    assert f"s for a batch of training to be read, limit 1 s; stacks of all threads in {stacks}" in line
    assert "in train" in stacks.read_text()
