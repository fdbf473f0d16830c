"""Carries out the runs of a study in turn: each is trained and measured by processes of its own.

A process of its own gives a run the memory of the whole machine, and lets it be stopped, killed and resumed by the
ordinary means. Whoever repeats the command goes on where it stopped; what a run is at is read off its own files.
"""

import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from gauss_vit.command_line import console
from gauss_vit.errors import BusyError, DivergedError
from gauss_vit.studies.children import Children, last_error
from gauss_vit.studies.plan import Plan, PlannedRun, process_command
from gauss_vit.studies.progress_table import ProgressTable
from gauss_vit.studies.run_state import record, record_divergence, state_of
from gauss_vit.train.workdir import lock

STOPPED = 143
_BUSY_SECONDS = 5.0
_KILLED = 128


class _StoppedError(Exception):
    """The study ends before its end.

    Attributes:
      status: exit status.
      reason: line that says why.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def execute(plan: Plan, runs: Sequence[PlannedRun], *, table: ProgressTable) -> None:
    """Carries out what is left of some runs.

    A run that another process is at waits until that has ended. One that diverges is a result, and the others go on.

    Raises:
      ConfigError: a run was started with another experiment.
      StorageError: the folder of the study cannot be written.
      SystemExit: a signal came (143), or a run ended by itself with an error (its status); the reason is said before.
    """
    for run in runs:
        record(plan, run)
    children = Children()
    try:
        with table, children.passing_signals():
            _carry_out_all(plan, runs, children=children, table=table)
    except _StoppedError as stopped:
        # Not before the table is drawn for the last time, which would cover it.
        console.remark(stopped.reason)
        raise SystemExit(stopped.status) from None


def _carry_out_all(plan: Plan, runs: Sequence[PlannedRun], *, children: Children, table: ProgressTable) -> None:
    pending, num_busy = deque(run for run in runs if not state_of(run, plan.study).is_over), 0
    while pending:
        run = pending.popleft()
        try:
            _carry_out(plan, run, children=children, table=table)
        except BusyError:
            pending.append(run)
            num_busy += 1
            table.set_note(run, "in use by another process")
            _wait(children, seconds=_BUSY_SECONDS if num_busy >= len(pending) else 0.0)
            continue
        num_busy = 0
        table.set_note(run, "")


def _wait(children: Children, *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        _end_if_stopped(children)
        time.sleep(0.1)


def _carry_out(plan: Plan, run: PlannedRun, *, children: Children, table: ProgressTable) -> None:
    """Trains and measures a run, unless it diverges.

    Raises:
      BusyError: another process is at it.
    """
    for is_repeated in (False, True):
        # A checkpoint that turns out to be damaged when it is measured is replaced by training again.
        if is_repeated or not state_of(run, plan.study).is_trained:
            table.set_note(run, "training")
            _run(plan, run, run.train, children=children, table=table)
        if state_of(run, plan.study).is_over:
            return
        table.set_note(run, "measuring")
        with lock.hold(run.folder):
            if not state_of(run, plan.study).is_over:
                _run(plan, run, run.evaluate, children=children, table=table)
        if state_of(run, plan.study).is_over:
            return
    raise _failure(plan, run, 1)


def _run(plan: Plan, run: PlannedRun, arguments: tuple[str, ...], *, children: Children, table: ProgressTable) -> None:
    status = children.run(process_command(arguments), log=_log(plan, run), tick=table.refresh)
    _end_if_stopped(children)
    if status == BusyError.exit_status:
        raise BusyError(f"{run.folder} is in use")
    if status == DivergedError.exit_status:
        record_divergence(run, last_error(_log(plan, run)))
    elif status != 0:
        raise _failure(plan, run, status)


def _log(plan: Plan, run: PlannedRun) -> Path:
    return plan.own_folder / f"{run.stem}.log"


def _end_if_stopped(children: Children) -> None:
    if children.stopped_by:
        raise _StoppedError(STOPPED, f"{children.stopped_by}: the study stops; the same command resumes it")


def _failure(plan: Plan, run: PlannedRun, status: int) -> _StoppedError:
    """Says why a run ended, with its status as a shell gives it."""
    log = _log(plan, run)
    how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
    return _StoppedError(
        _KILLED - status if status < 0 else status,
        f"gauss_vit: error[RUN]: {run.name} {how}: {last_error(log)} (all of it in {log})."
        " DO: correct it, then run the same command to resume",
    )
