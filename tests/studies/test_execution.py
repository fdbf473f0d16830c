"""The order in which runs are carried out, and what comes of those that fail, on processes that are pretended."""

from pathlib import Path

import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.studies import execution
from gauss_vit.studies.execution import Failure, execute
from gauss_vit.studies.plan import Plan
from gauss_vit.studies.progress_table import ProgressTable
from gauss_vit.studies.run_state import state_of
from tests.studies.pretended import PretendedChildren, plan_in, pretend_training

NAMES = ["none seed 0", "with-gauss seed 0", "none seed 5", "with-gauss seed 5"]


def carried_out(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, statuses: dict[tuple[str, str], list[int]] | None = None
) -> tuple[tuple[Failure, ...], list[tuple[str, str]]]:
    children = PretendedChildren(plan, statuses)
    monkeypatch.setattr(execution, "Children", lambda: children)
    monkeypatch.setattr(execution, "_BUSY_SECONDS", 0.0)
    failures = execute(plan, plan.runs, table=ProgressTable(plan, plan.runs))
    return failures, children.commands


def test_every_run_is_trained_and_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plan = plan_in(tmp_path)
    failures, commands = carried_out(plan, monkeypatch)
    assert commands == [(verb, name) for name in NAMES for verb in ("train", "evaluate")]
    assert failures == ()
    assert all(state_of(run, plan.study).is_finished for run in plan.runs)
    assert carried_out(plan, monkeypatch)[1] == []


def test_what_is_finished_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plan = plan_in(tmp_path)
    pretend_training(plan.runs[0])
    pretend_training(plan.runs[1], step=4)
    _, commands = carried_out(plan, monkeypatch)
    assert commands[:3] == [("evaluate", NAMES[0]), ("train", NAMES[1]), ("evaluate", NAMES[1])]


def test_run_in_use_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    _, commands = carried_out(plan_in(tmp_path), monkeypatch, {("train", NAMES[1]): [7, 7]})
    trained = [name for verb, name in commands if verb == "train"]
    assert trained == [NAMES[0], NAMES[1], NAMES[2], NAMES[3], NAMES[1], NAMES[1]]


def test_run_that_diverges_is_named_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    failures, commands = carried_out(plan_in(tmp_path), monkeypatch, {("train", NAMES[0]): [5]})
    assert [failure.name for failure in failures] == [NAMES[0]]
    assert "error[X]" in failures[0].reason
    assert commands[-1] == ("evaluate", NAMES[3])
    assert ("evaluate", NAMES[0]) not in commands


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


def test_signal_ends_the_study_after_the_run_has_saved(
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
