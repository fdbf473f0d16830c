"""What happens to one process of a run ends all of them, named, within its bound; none of them is left behind.

Each row is one of docs/reliability.md, which has the seconds that were measured; `-rP` shows them.
"""

import dataclasses
import re
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from gauss_vit.train.checkpoint.reader import saved_steps
from tests.distributed.faulty import SLOW_SECONDS
from tests.processes import Ended, free_port, program, simulated, started
from tests.tiny_config import FLAG as CONFIG
from tests.train.bits import trace_of

ONE_EACH = simulated(1)
LENGTH = (
    "--config.training.num_steps=120",
    "--config.training.checkpoint_every=5",
    "--config.evaluators[0].every=120",
    "--config.limits.step=10",
    "--config.limits.save=10",
    "--config.limits.restore=10",
)


def faulty(fault: str, place: str, index: int, arguments: Sequence[str]) -> list[list[str]]:
    """The command lines of two processes, with a fault in one of them at a place, of step 20 if it is of a step."""
    address = f"127.0.0.1:{free_port()}"
    prefix = [sys.executable, "-m", "tests.distributed.faulty", fault, place, str(index), "20"]
    return [[*prefix, *arguments, f"--distributed={address},2,{number}"] for number in range(2)]


def commands(workdir: Path) -> list[list[str]]:
    """The command lines of two processes."""
    return program([CONFIG, f"--workdir={workdir}", *LENGTH], count=2)


def finish(workdir: Path, folder: Path) -> list[Ended]:
    """Runs two processes to their ends."""
    with started(commands(workdir), folder, environment=ONE_EACH) as run:
        ended = run.wait(limit=240)
    assert [process.status for process in ended] == [0, 0], [process.err[-2000:] for process in ended]
    return ended


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workdir of two processes that were left alone."""
    folder = tmp_path_factory.mktemp("undisturbed")
    finish(folder / "W", folder / "said")
    return folder / "W"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What two processes did, one of which met a fault.

    Attributes:
      said: standard error of each.
      statuses: exit status of each; None of one that was still there.
      seconds: from the fault to the end of the survivors.
    """

    said: list[str]
    statuses: list[int | None]
    seconds: float


def with_fault(
    fault: str,
    index: int,
    folder: Path,
    *,
    place: str = "step",
    survivors: Sequence[int] = (0, 1),
    arguments: Sequence[str] = (),
) -> Outcome:
    """Runs two processes, one of which meets a fault; they train unless other arguments are given."""
    given = arguments or [CONFIG, f"--workdir={folder / 'W'}", *LENGTH]
    with started(faulty(fault, place, index, given), folder / "said", environment=ONE_EACH) as run:
        run.wait_until_said(index, "fault at ", limit=180)
        at = float(re.findall(r"fault at (\S+)", run.said(index))[0])
        deadline = time.monotonic() + 90
        while any(run.processes[survivor].poll() is None for survivor in survivors):
            assert time.monotonic() < deadline, "\n".join(run.said(number)[-2000:] for number in range(2))
            time.sleep(0.05)
        outcome = Outcome(
            said=[run.said(number) for number in range(2)],
            statuses=[process.poll() for process in run.processes],
            seconds=time.time() - at,
        )
    sys.stdout.write(f"{fault} at {place} in process {index}: {outcome.seconds:.1f} s, statuses {outcome.statuses}\n")
    return outcome


@pytest.mark.full
@pytest.mark.parametrize("fault", ["kill", "suspend"])
def test_a_process_that_is_gone_is_named_before_jax_aborts(tmp_path: Path, fault: str):
    outcome = with_fault(fault, 1, tmp_path, survivors=[0])
    assert "gauss_vit: error[PEER-LOST]: process 1 stopped answering 2" in outcome.said[0].splitlines()[-1]
    assert outcome.statuses[0] == 6
    assert outcome.seconds <= 45


@pytest.mark.full
def test_the_coordinator_that_is_gone_ends_the_others(tmp_path: Path):
    outcome = with_fault("kill", 0, tmp_path, survivors=[1])
    last = outcome.said[1].splitlines()[-1]
    assert last.startswith("gauss_vit: error[PEER-LOST]: ")
    assert "process 0, the coordinator, is gone" in last
    assert outcome.statuses[1] == 6
    assert outcome.seconds <= 45


def require_hang(outcome: Outcome, *, limit: int) -> None:
    """Makes sure that a process said that the other one is stuck, and that both ended with the status for it."""
    last = [said.splitlines()[-1] for said in outcome.said]
    assert any(line.startswith("gauss_vit: error[HANG]: ") for line in last), last
    assert outcome.statuses == [6, 6]
    assert outcome.seconds <= limit + 15


@pytest.mark.full
def test_a_stuck_process_is_found(tmp_path: Path):
    outcome = with_fault("stuck", 1, tmp_path)
    require_hang(outcome, limit=10)
    assert "training step 20" in outcome.said[0]
    assert list((tmp_path / "W").glob("hang-*.log"))


@pytest.mark.full
@pytest.mark.parametrize(
    ("place", "what"),
    [("restore", "the newest checkpoint to be read"), ("save", "checkpoint 20, or the one before it, to be saved")],
)
def test_a_process_stuck_on_the_disk_is_found(tmp_path: Path, place: str, what: str):
    outcome = with_fault("stuck", 1, tmp_path, place=place)
    require_hang(outcome, limit=10)
    assert any(f"s for {what}, limit 10 s" in text or f"process 1 waits for {what}" in text for text in outcome.said)


@pytest.mark.full
def test_a_process_stuck_in_an_evaluation_is_found(undisturbed: Path, tmp_path: Path):
    limit = 30
    limits = [f"--config={undisturbed}/config.json", f"--config.limits.compile={limit}"]
    arguments = ["evaluate", f"--workdir={undisturbed}", *limits]
    outcome = with_fault("stuck", 1, tmp_path, place="evaluation", arguments=arguments)
    require_hang(outcome, limit=limit)
    assert "a batch of test[:50] to be measured" in outcome.said[0]


@pytest.mark.full
def test_process_0_may_take_long_at_its_end(tmp_path: Path):
    arguments = [CONFIG, f"--workdir={tmp_path / 'W'}", *LENGTH]
    with started(faulty("slow", "end", 0, arguments), tmp_path / "said", environment=ONE_EACH) as run:
        ended = run.wait(limit=240)
    assert [process.status for process in ended] == [0, 0], ended
    assert min(process.seconds for process in ended) > SLOW_SECONDS


@pytest.mark.full
@pytest.mark.parametrize("index", [0, 1])
def test_error_of_one_process_is_said_by_all(tmp_path: Path, index: int):
    outcome = with_fault("data", index, tmp_path)
    own, other = (outcome.said[number].splitlines()[-1] for number in (index, 1 - index))
    assert own.startswith("gauss_vit: error[DATA-DECODE]: bad.jpg: image file is truncated. DO: remove it")
    assert other.startswith(f"gauss_vit: error[DATA-DECODE]: process {index}: bad.jpg: image file is truncated")
    assert outcome.statuses == [3, 3]
    assert outcome.seconds <= 30


@pytest.mark.full
def test_bug_in_one_process_is_said_by_all(tmp_path: Path):
    outcome = with_fault("bug", 1, tmp_path)
    first, second = (said.splitlines()[-1] for said in outcome.said)
    assert first.startswith("gauss_vit: error[PEER-FAILED]: process 1: failed: RuntimeError: an exception of this proc")
    assert second.startswith("gauss_vit: error[BUG]: RuntimeError: an exception of this process alone")
    assert outcome.statuses == [6, 1]
    assert outcome.seconds <= 30


@pytest.mark.full
def test_lack_of_memory_in_one_process_names_the_setting_to_lower(tmp_path: Path):
    outcome = with_fault("memory", 1, tmp_path)
    for said, name in zip(outcome.said, ("process 1: ", ""), strict=True):
        what = f"gauss_vit: error[OOM]: {name}training ran out of memory: cannot allocate 8 GiB. DO: set "
        which = "model.compute.remat=full or, without batch normalisation, training.accumulate"
        assert said.splitlines()[-1].startswith(what + which)
    assert outcome.statuses == [8, 8]
    assert outcome.seconds <= 30


@pytest.mark.full
@pytest.mark.optimized
@pytest.mark.parametrize("index", [0, 1])
def test_signal_to_one_process_stops_all_at_the_same_step(undisturbed: Path, tmp_path: Path, index: int):
    workdir = tmp_path / "W"
    with started(commands(workdir), tmp_path / "first", environment=ONE_EACH) as run:
        run.wait_until_said(0, "saved checkpoint 20", limit=180)
        run.signal(index, signal.SIGTERM)
        start = time.monotonic()
        ended = run.wait(limit=240)
        seconds = time.monotonic() - start
    sys.stdout.write(f"SIGTERM to process {index}: {seconds:.1f} s\n")
    assert seconds <= 30
    assert [process.status for process in ended] == [143, 143], ended
    step = max(saved_steps(workdir))
    assert 20 <= step < 120
    who = "SIGTERM" if index == 0 else "SIGTERM of process 1"
    assert f"{who}: saved step {step}, exiting 143" in ended[0].err
    assert f"resumed from step {step} (verified)" in finish(workdir, tmp_path / "second")[0].err
    assert trace_of(workdir) == trace_of(undisturbed)


@pytest.mark.full
@pytest.mark.optimized
@pytest.mark.parametrize("index", [0, 1])
def test_killed_in_a_save_leaves_no_half_of_a_checkpoint(undisturbed: Path, tmp_path: Path, index: int):
    with_fault("kill", index, tmp_path, place="save", survivors=[1 - index])
    assert max(saved_steps(tmp_path / "W")) in (15, 20)
    finish(tmp_path / "W", tmp_path / "second")
    assert trace_of(tmp_path / "W") == trace_of(undisturbed)


@pytest.mark.full
def test_a_process_that_never_comes_is_named(tmp_path: Path):
    first = [*commands(tmp_path / "W")[0], "--config.limits.start=5"]
    with started([first], tmp_path / "said", environment=ONE_EACH) as run:
        ended = run.wait(limit=60)[0]
    assert ended.status == 6
    assert "gauss_vit: error[PEER-LOST]: waited 5 s at the start for process 1" in ended.err
    assert ended.seconds < 5 + 15


@pytest.mark.full
def test_second_run_on_a_workdir_is_refused_and_the_first_goes_on(tmp_path: Path):
    workdir = tmp_path / "W"
    with started(commands(workdir), tmp_path / "first", environment=ONE_EACH) as first:
        first.wait_until_said(0, "saved checkpoint 5", limit=180)
        holder = first.processes[0].pid
        with started(commands(workdir), tmp_path / "second", environment=ONE_EACH) as second:
            refused = second.wait(limit=120)
        assert [process.status for process in refused] == [7, 7], refused
        for process in refused:
            last = process.err.splitlines()[-1]
            assert last.startswith(f"gauss_vit: error[WORKDIR-BUSY]: {workdir} is in use by pid {holder} on host ")
        assert [process.status for process in first.wait(limit=300)] == [0, 0]


def test_processes_with_different_configs_do_not_start(tmp_path: Path):
    first, second = commands(tmp_path / "W")
    with started(
        [first, [*second, "--config.optimizer.learning_rate=0.002"]], tmp_path / "said", environment=ONE_EACH
    ) as run:
        ended = run.wait(limit=60)
    assert [process.status for process in ended] == [2, 2], ended
    differ = "process 1 differs from process 0: config.optimizer.learning_rate is 0.002 instead of 0.001"
    assert all(f"gauss_vit: error[HOST-MISMATCH]: {differ}" in process.err for process in ended)
    assert not (tmp_path / "W").exists()
