"""Carries out the runs of a study in turn: each is trained and measured by processes of its own.

A process of its own gives a run the memory of the whole machine, and lets it be stopped, killed and resumed by the
ordinary means. Whoever repeats the command goes on where it stopped; what a run is at is read off its own files.
"""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gauss_vit.command_line import console
from gauss_vit.errors import BusyError, DivergedError
from gauss_vit.studies.children import Children, last_error
from gauss_vit.studies.plan import Plan, PlannedRun, process_command
from gauss_vit.studies.progress_table import ProgressTable
from gauss_vit.studies.run_state import record, state_of

STOPPED = 143
_BUSY_SECONDS = 5.0
_KILLED = 128


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A run that cannot be finished.

    Attributes:
      name: name of the run.
      reason: what its program said.
    """

    name: str
    reason: str


def execute(plan: Plan, runs: Sequence[PlannedRun], *, table: ProgressTable) -> tuple[Failure, ...]:
    """Carries out what is left of some runs.

    A run that another process is at waits until that has ended. One that diverges is a result, and the others go on.

    Returns:
      The runs that diverged.

    Raises:
      ConfigError: a run was started with another experiment.
      StorageError: the folder of the study cannot be written.
      SystemExit: a signal came (143), or a run ended by itself with an error (its status); the reason is said before.
    """
    for run in runs:
        record(plan, run)
    children, failures = Children(), []
    pending, num_busy = deque(run for run in runs if not state_of(run, plan.study).is_finished), 0
    with table, children.passing_signals():
        while pending:
            run = pending.popleft()
            status = _carry_out(plan, run, children=children, table=table)
            if status == BusyError.exit_status:
                pending.append(run)
                num_busy += 1
                table.set_note(run, "in use by another process")
                _wait(children, seconds=_BUSY_SECONDS if num_busy >= len(pending) else 0.0)
                continue
            num_busy = 0
            if status == DivergedError.exit_status:
                failures.append(Failure(name=run.name, reason=last_error(_log(plan, run))))
                table.set_note(run, "diverged")
    return tuple(failures)


def _wait(children: Children, *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        _end_if_stopped(children)
        time.sleep(0.1)


def _carry_out(plan: Plan, run: PlannedRun, *, children: Children, table: ProgressTable) -> int:
    """Trains and measures a run; returns 0, or the status of a run that is in use or has diverged."""
    for arguments, doing in ((run.train, "training"), (run.evaluate, "measuring")):
        state = state_of(run, plan.study)
        if state.is_finished or (doing == "training" and state.is_trained):
            continue
        table.set_note(run, doing)
        status = children.run(process_command(arguments), log=_log(plan, run), tick=table.refresh)
        _end_if_stopped(children)
        if status in (BusyError.exit_status, DivergedError.exit_status):
            return status
        if status != 0:
            _fail(plan, run, status)
    if not state_of(run, plan.study).is_finished:
        _fail(plan, run, 1)
    table.set_note(run, "")
    return 0


def _log(plan: Plan, run: PlannedRun) -> Path:
    return plan.own_folder / f"{run.stem}.log"


def _end_if_stopped(children: Children) -> None:
    if children.stopped_by:
        console.remark(f"{children.stopped_by}: the study stops; the same command resumes it")
        raise SystemExit(STOPPED)


def _fail(plan: Plan, run: PlannedRun, status: int) -> None:
    """Says why a run ended, and ends with its status, as a shell gives it."""
    log = _log(plan, run)
    how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
    console.remark(
        f"gauss_vit: error[RUN]: {run.name} {how}: {last_error(log)} (all of it in {log})."
        " DO: correct it, then run the same command to resume"
    )
    raise SystemExit(_KILLED - status if status < 0 else status)
