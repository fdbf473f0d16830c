"""A study whose processes are all killed at five random moments, and repeated, ends with the same rows, bit for bit."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.full

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 1800
NUM_KILLS, SEED = 5, 20
TINY = (
    "study",
    "--config=tests/studies/tiny_study.py",
    "--config.training.num_steps=40",
    "--config.training.checkpoint_every=10",
    "--config.training.observe_images=0",
)
ONE_DEVICE = {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "1"}


def start(workdir: Path) -> subprocess.Popen[bytes]:
    """Starts the study in a group of processes of its own."""
    command = [sys.executable, "-m", "gauss_vit.main", *TINY, f"--workdir={workdir}"]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **ONE_DEVICE},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def finish(workdir: Path) -> None:
    """Runs the study to its end."""
    assert start(workdir).wait(timeout=PATIENCE_SECONDS) == 0, [
        path.read_text()[-2000:] for path in (workdir / "study").glob("*.log")
    ]


def num_measured(workdir: Path) -> int:
    """How often the runs of a study have written what they measured."""
    return sum(len(path.read_bytes().splitlines()) for path in workdir.glob("*/seed_*/metrics.jsonl"))


def kill_at(workdir: Path, progress: int, *, delay_seconds: float) -> None:
    """Starts the study and kills it a little after it has measured so often."""
    process = start(workdir)
    while num_measured(workdir) < progress:
        assert process.poll() is None, "the study ended before it was killed"
        time.sleep(0.1)
    time.sleep(delay_seconds)
    assert process.poll() is None, "the study ended before it was killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.timeout(2 * PATIENCE_SECONDS)
def test_a_killed_study_ends_with_the_rows_of_one_that_was_not(tmp_path: Path):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    finish(undisturbed)
    moments, total = random.Random(SEED), num_measured(undisturbed)
    for progress in sorted(moments.sample(range(1, total - 2), NUM_KILLS)):
        kill_at(killed, progress, delay_seconds=moments.uniform(0, 1))
    finish(killed)
    assert (killed / "ledger.json").read_bytes() == (undisturbed / "ledger.json").read_bytes()
