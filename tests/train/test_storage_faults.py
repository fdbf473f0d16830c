"""Every system call that writes, refused at any time: nothing announced is lost, and the run ends as users are told.

`strace` lets the N-th call of a kind in each thread fail, in a real process, from the lock to the last removal. Then
the same run is started again on a sound disk. Every other fault meets a run that was stopped half-way, and resumes.
`--sweep=N` tries N faults.
"""

import dataclasses
import itertools
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from gauss_vit.train.checkpoint.reader import CORRUPT, restore_state
from gauss_vit.train.loop import fit
from tests.sweeps import evenly
from tests.train.bits import trace_of
from tests.train.incidents import interrupted_at
from tests.train.toy import TRAINING, run_in

pytestmark = [
    pytest.mark.full,
    pytest.mark.optimized,
    pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace to let system calls fail"),
]

ROOT = Path(__file__).parents[2]
NUM_FAULTS = 100
NUM_STEPS = 12
PATIENCE_SECONDS = 120
CALLS = (
    "rename,renameat,renameat2",
    "fsync,fdatasync",
    "mkdir,mkdirat",
    "unlink,unlinkat,rmdir",
    "symlink,symlinkat",
    "write,pwrite64,writev,pwritev,ftruncate",
    "openat",
)
ERRORS = ("ENOSPC", "EIO")


@dataclasses.dataclass(frozen=True)
class Fault:
    """The N-th of some calls in each thread, which fails."""

    calls: str
    error: str
    when: int


def run_traced(workdir: Path, *options: str) -> tuple[int, str]:
    """Trains in a process that strace is attached to before the first step; gives its status and what it said."""
    command = [sys.executable, "-m", "tests.train.train_when_told", str(workdir), str(NUM_STEPS)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(
        command, cwd=ROOT, text=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}, **pipes
    ) as run:
        assert run.stdout.readline() == "ready\n"
        tracer = subprocess.Popen(
            ["strace", "-f", "-p", str(run.pid), *options], stderr=subprocess.PIPE, text=True, stdout=subprocess.DEVNULL
        )
        try:
            assert "attached" in tracer.stderr.readline()
            _, said = run.communicate("go\n", timeout=PATIENCE_SECONDS)
        finally:
            run.kill()
            tracer.communicate(timeout=PATIENCE_SECONDS)
    return run.returncode, said


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory, sweep: int | None) -> list[Fault]:
    """Faults of every kind, spread up to the largest number of calls of the kind in one thread of a sound run."""
    folder = tmp_path_factory.mktemp("sound")
    names = ",".join(CALLS)
    status, said = run_traced(folder / "run", "-e", f"trace={names}", "-o", str(folder / "trace"))
    assert status == 0, said
    found = Counter(re.findall(r"^(\d+) +(\w+)\(", (folder / "trace").read_text(errors="replace"), re.MULTILINE))
    threads = {thread for thread, _ in found}
    most = {calls: max(sum(found[thread, call] for call in calls.split(",")) for thread in threads) for calls in CALLS}
    kinds = list(itertools.product(CALLS, ERRORS))
    num_each = max(1, (sweep or NUM_FAULTS) // len(kinds))
    return [Fault(calls, error, when) for calls, error in kinds for when in evenly(range(1, most[calls] + 1), num_each)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple:
    """The bits of a run on a sound disk."""
    workdir = tmp_path_factory.mktemp("undisturbed")
    fit(run_in(workdir, dataclasses.replace(TRAINING, num_steps=NUM_STEPS)))
    return trace_of(workdir)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workdir of a run that was stopped half-way."""
    workdir = tmp_path_factory.mktemp("begun")
    run = run_in(workdir, dataclasses.replace(TRAINING, num_steps=NUM_STEPS))
    with pytest.raises(SystemExit):
        fit(interrupted_at(run, NUM_STEPS // 2))
    return workdir


def problem_of(fault: Fault, workdir: Path, undisturbed: tuple) -> str:
    """Lets a fault happen, then trains to the end; says what was wrong, if anything."""
    inject = f"inject={fault.calls}:error={fault.error}:when={fault.when}"
    status, said = run_traced(workdir, "-o", "/dev/null", "-e", f"trace={fault.calls}", "-e", inject)
    if status not in (0, 8) or "Traceback" in said:
        return f"status {status}: {said}"
    log = workdir / "train.log"
    announced = re.findall(r"saved checkpoint (\d+)", log.read_text()) if log.exists() else []
    run = run_in(workdir, dataclasses.replace(TRAINING, num_steps=NUM_STEPS))
    restored = restore_state(workdir, run.program.abstract) if workdir.exists() else None
    is_kept = restored is not None and announced and restored.step >= int(announced[-1])
    if announced and not is_kept and not (workdir / CORRUPT / announced[-1]).is_dir():
        return f"checkpoint {announced[-1]} was announced and is lost: {said}"
    fit(run)
    return "" if trace_of(workdir) == undisturbed else f"other bits: {said}"


def test_no_fault_of_the_storage_loses_anything(faults: list[Fault], undisturbed: tuple, begun: Path, tmp_path: Path):
    problems = {}
    for place, fault in enumerate(faults):
        workdir = tmp_path / str(place)
        if place % 2:
            shutil.copytree(begun, workdir, symlinks=True)
        problems[fault] = problem_of(fault, workdir, undisturbed)
    found = [f"{fault}: {problem}" for fault, problem in problems.items() if problem]
    assert not found, "\n\n".join(found)
