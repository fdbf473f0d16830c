"""The order in which runs are carried out, and what comes of those that fail, on processes that are pretended."""

import io
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.studies import execution
from gauss_vit.studies.execution import execute
from gauss_vit.studies.plan import Plan, PlannedRun
from gauss_vit.studies.progress_table import ProgressTable
from gauss_vit.studies.run_state import state_of
from gauss_vit.train.workdir import lock
from tests.studies.pretended import NUM_STEPS, PretendedChildren, plan_in, pretend_measuring, pretend_training

NAMES = ["none seed 0", "with-gauss seed 0", "none seed 5", "with-gauss seed 5"]


def carried_out(
    plan: Plan,
    monkeypatch: pytest.MonkeyPatch,
    statuses: dict[tuple[str, str], list[int]] | None = None,
    *,
    measured_step: Callable[[PlannedRun], int] = lambda run: NUM_STEPS,
) -> list[tuple[str, str]]:
    """Returns verb and run of every process, in order."""
    children = PretendedChildren(plan, statuses, measured_step=measured_step)
    monkeypatch.setattr(execution, "Children", lambda: children)
    monkeypatch.setattr(execution, "_BUSY_SECONDS", 0.0)
    execute(plan, plan.runs, table=ProgressTable(plan, plan.runs))
    return children.commands


def test_every_run_is_trained_and_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plan = plan_in(tmp_path)
    commands = carried_out(plan, monkeypatch)
    assert commands == [(verb, name) for name in NAMES for verb in ("train", "evaluate")]
    assert all(state_of(run, plan.study).is_finished for run in plan.runs)
    assert carried_out(plan, monkeypatch) == []


def test_what_is_finished_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plan = plan_in(tmp_path)
    pretend_training(plan.runs[0])
    pretend_training(plan.runs[1], step=4)
    commands = carried_out(plan, monkeypatch)
    assert commands[:3] == [("evaluate", NAMES[0]), ("train", NAMES[1]), ("evaluate", NAMES[1])]


def test_run_in_use_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    commands = carried_out(plan_in(tmp_path), monkeypatch, {("train", NAMES[1]): [7, 7]})
    trained = [name for verb, name in commands if verb == "train"]
    assert trained == [NAMES[0], NAMES[1], NAMES[2], NAMES[3], NAMES[1], NAMES[1]]


def test_run_that_diverges_is_named_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plan = plan_in(tmp_path)
    commands = carried_out(plan, monkeypatch, {("train", NAMES[0]): [5]})
    assert "error[X]" in state_of(plan.runs[0], plan.study).diverged
    assert commands[-1] == ("evaluate", NAMES[3])
    assert ("evaluate", NAMES[0]) not in commands
    assert carried_out(plan, monkeypatch) == []


def test_run_whose_last_checkpoint_is_damaged_is_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plan = plan_in(tmp_path)
    pretend_training(plan.runs[0])
    measured = iter([NUM_STEPS - 4, NUM_STEPS])
    commands = carried_out(plan, monkeypatch, measured_step=lambda run: next(measured) if run.index == 0 else NUM_STEPS)
    assert commands[:3] == [("evaluate", NAMES[0]), ("train", NAMES[0]), ("evaluate", NAMES[0])]


def test_run_that_another_process_measures_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plan, (first, *_) = (plan := plan_in(tmp_path)), plan.runs
    pretend_training(first)
    with lock.hold(first.folder):
        children = PretendedChildren(plan)
        monkeypatch.setattr(execution, "Children", lambda: children)
        monkeypatch.setattr(execution, "_wait", lambda children, seconds: pretend_measuring(first))
        execute(plan, [first], table=ProgressTable(plan, [first]))
    assert children.commands == []


class Terminal(io.StringIO):
    """A terminal of many lines that understands what the progress table writes to it."""

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """The lines that can be read at the end."""
        lines, row = [""], 0
        for part in re.split(r"(\x1b\[\d+A|\x1b\[J|\r|\n)", self.getvalue()):
            if up := re.fullmatch(r"\x1b\[(\d+)A", part):
                row -= int(up[1])
                assert row >= 0
            elif part == "\x1b[J":
                del lines[row + 1 :]
                lines[row] = ""
            elif part == "\n":
                row += 1
                lines += [""] * (row == len(lines))
            elif part != "\r":
                lines[row] += part
        return lines


def test_reason_stays_on_the_screen_below_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with pytest.raises(SystemExit):
        carried_out(plan_in(tmp_path), monkeypatch, {("train", NAMES[1]): [3]})
    *table, reason, end = terminal.screen()
    assert table[0] == "Tiny: 1 of 4 runs finished"
    assert len(table) == 1 + 1 + 4
    assert reason.startswith(f"gauss_vit: error[RUN]: {NAMES[1]} ended with status 3")
    assert end == ""


@pytest.mark.parametrize(("status", "expected"), [(3, 3), (-9, 137), (143, 143)])
def test_other_failures_end_the_study_with_their_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], status: int, expected: int
):
    with pytest.raises(SystemExit) as ended:
        carried_out(plan_in(tmp_path), monkeypatch, {("train", NAMES[1]): [status]})
    assert ended.value.code == expected
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"gauss_vit: error[RUN]: {NAMES[1]}")
    assert "DO: " in last


def test_signal_ends_the_study_after_the_run_that_it_was_passed_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    plan = plan_in(tmp_path)
    children = PretendedChildren(plan)
    children.stopped_by = "SIGTERM"
    monkeypatch.setattr(execution, "Children", lambda: children)
    with pytest.raises(SystemExit) as ended:
        execute(plan, plan.runs, table=ProgressTable(plan, plan.runs))
    assert ended.value.code == 143
    assert children.commands == [("train", NAMES[0])]
    assert "SIGTERM: the study stops; the same command resumes it" in capsys.readouterr().err


def test_run_of_another_experiment_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    carried_out(plan_in(tmp_path), monkeypatch)
    changed = plan_in(tmp_path, **{"optimizer.learning_rate": "0.1"})
    with pytest.raises(ConfigError, match="none seed 0 was started with another experiment"):
        execute(changed, changed.runs, table=ProgressTable(changed, changed.runs))
