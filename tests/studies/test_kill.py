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


def finish(workdir: Path) -> float:
    """Runs the study to its end, and returns the seconds that it took."""
    start_seconds = time.monotonic()
    assert start(workdir).wait(timeout=PATIENCE_SECONDS) == 0, [
        path.read_text()[-2000:] for path in (workdir / "study").glob("*.log")
    ]
    return time.monotonic() - start_seconds


@pytest.mark.timeout(2 * PATIENCE_SECONDS)
def test_a_killed_study_ends_with_the_rows_of_one_that_was_not(tmp_path: Path):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    seconds, moments = finish(undisturbed), random.Random(SEED)
    for _ in range(NUM_KILLS):
        process = start(killed)
        time.sleep(moments.uniform(0.03, 0.17) * seconds)
        assert process.poll() is None, "the study was finished before it was killed as often as it should be"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    finish(killed)
    assert (killed / "ledger.json").read_bytes() == (undisturbed / "ledger.json").read_bytes()
