"""Real processes, really killed, end with the same bits as one that was left alone."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gauss_vit.train.checkpoint.reader import saved_steps
from tests.train.bits import trace_of

pytestmark = pytest.mark.optimized

ROOT = Path(__file__).parents[2]
NUM_STEPS = 30
PATIENCE_SECONDS = 300
SECONDS_A_STEP = 0.02
NUM_KILLS = 50


TOY, SHAPES, OBJECTS = "tests.train.train_toy", "tests.tasks.train_shapes", "tests.tasks.train_objects"
"""Modules that train: a classifier, a UPerNet with running statistics and a moving average, and a Mask R-CNN."""


def start(workdir: Path, seconds_a_step: float, *, module: str = TOY) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", module, str(workdir), str(NUM_STEPS), str(seconds_a_step)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def finish(workdir: Path, *, module: str = TOY) -> str:
    """Runs to the end, and gives what was said."""
    process = start(workdir, 0.0, module=module)
    _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, said
    return said


def interrupt(
    workdir: Path,
    number: signal.Signals,
    *,
    after_step: int,
    seconds_a_step: float = SECONDS_A_STEP,
    module: str = TOY,
) -> tuple[int, str]:
    """Sends a signal as soon as a checkpoint of that step is on disk, and gives the exit status and what was said."""
    process = start(workdir, seconds_a_step, module=module)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while max(saved_steps(workdir), default=0) < after_step and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(number)
    _, said = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, said


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workdir of a process that was left alone."""
    workdir = tmp_path_factory.mktemp("undisturbed")
    finish(workdir)
    return workdir


@pytest.mark.parametrize("steps", [(9,), pytest.param((3, 15), marks=pytest.mark.full)])
def test_killed_runs_end_with_the_same_bits(undisturbed: Path, tmp_path: Path, steps: tuple[int, ...]):
    for after_step in steps:
        status, _ = interrupt(tmp_path, signal.SIGKILL, after_step=after_step)
        assert status == -signal.SIGKILL
        assert max(saved_steps(tmp_path)) >= after_step
    assert "resumed from step" in finish(tmp_path)
    assert trace_of(tmp_path) == trace_of(undisturbed)
    assert not list((tmp_path / "checkpoints").glob("*tmp*"))


@pytest.mark.full
@pytest.mark.parametrize("module", [SHAPES, OBJECTS])
def test_killed_dense_tasks_end_with_the_same_bits(tmp_path: Path, module: str):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    finish(undisturbed, module=module)
    for after_step in (3, 11, 17):
        status, said = interrupt(killed, signal.SIGKILL, after_step=after_step, seconds_a_step=0.1, module=module)
        assert status == -signal.SIGKILL, said
    assert "resumed from step" in finish(killed, module=module)
    assert trace_of(killed) == trace_of(undisturbed)


@pytest.mark.full
def test_runs_killed_at_any_time_end_with_the_same_bits(undisturbed: Path, tmp_path: Path, sweep: int | None):
    """Kills are spread from the start of the interpreter to the end of the run; `--sweep=N` tries N."""
    begin = time.monotonic()
    start(tmp_path / "slow", SECONDS_A_STEP).communicate(timeout=PATIENCE_SECONDS)
    duration, count = time.monotonic() - begin, sweep or NUM_KILLS
    for place in range(count):
        workdir = tmp_path / str(place)
        process = start(workdir, SECONDS_A_STEP)
        time.sleep(duration * (place + 0.5) / count)
        process.kill()
        process.communicate(timeout=PATIENCE_SECONDS)
        finish(workdir)
        assert trace_of(workdir) == trace_of(undisturbed)
        assert sorted(path.name for path in (workdir / "checkpoints").iterdir()) == ["27", "30"]


def test_terminated_run_saves_its_step_and_exits_143(undisturbed: Path, tmp_path: Path):
    status, said = interrupt(tmp_path, signal.SIGTERM, after_step=6)
    step = max(saved_steps(tmp_path))
    assert status == 143
    assert f"SIGTERM: saved step {step}, exiting 143" in said
    assert f"resumed from step {step} (verified)" in finish(tmp_path)
    assert trace_of(tmp_path) == trace_of(undisturbed)
