"""`kill -9` in the middle of training on real images, then the same command again: the same bits at the end.

The default tier kills runs of the toy, in `tests/train/test_kill.py`.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gauss_vit.train.checkpoint.reader import saved_steps
from tests.tiny_config import FLAG as CONFIG
from tests.train.bits import trace_of

pytestmark = pytest.mark.full

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 180
LENGTH = (
    "--config.training.num_steps=120",
    "--config.training.checkpoint_every=10",
    "--config.evaluators[0].every=60",
    "--config.training.observe_every=None",
)


def start(workdir: Path, data_flag: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "gauss_vit.main", CONFIG, data_flag, f"--workdir={workdir}", *LENGTH]
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "1"}
    return subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment
    )


def finish(workdir: Path, data_flag: str) -> str:
    process = start(workdir, data_flag)
    _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, said
    return said


def test_a_killed_run_ends_with_the_bits_of_one_that_was_not(tmp_path: Path, data_flag: str):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    finish(undisturbed, data_flag)

    process = start(killed, data_flag)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while max(saved_steps(killed), default=0) < 20 and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == -signal.SIGKILL
    assert 20 <= max(saved_steps(killed)) < 120

    assert "resumed from step" in finish(killed, data_flag)
    assert trace_of(killed) == trace_of(undisturbed)
