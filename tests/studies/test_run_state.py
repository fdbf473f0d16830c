"""How far a run has come, and how long what is left takes."""

from pathlib import Path

import pytest

from gauss_vit.errors import DataError
from gauss_vit.studies.expected_time import hours_left, plan_lines
from gauss_vit.studies.plan import Plan
from gauss_vit.studies.progress_table import ProgressTable
from gauss_vit.studies.run_state import RunState, latest_value, record_divergence, state_of
from tests.studies.pretended import plan_in, pretend_measuring, pretend_training


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return plan_in(tmp_path)


def test_run_that_has_not_started_has_no_state(plan: Plan):
    assert state_of(plan.runs[0], plan.study) == RunState()


def test_run_is_finished_when_it_is_measured_at_its_last_step(plan: Plan):
    run = plan.runs[0]
    pretend_training(run, step=4)
    pretend_measuring(run, step=4)
    assert (state_of(run, plan.study).is_trained, state_of(run, plan.study).is_finished) == (False, False)
    pretend_training(run)
    assert (state_of(run, plan.study).is_trained, state_of(run, plan.study).is_finished) == (True, False)
    pretend_measuring(run)
    assert state_of(run, plan.study).is_finished


@pytest.mark.parametrize("other", [{"split": "train"}, {"weights": "ema"}, {"subset": "imagenet_a"}])
def test_other_measurements_do_not_count(plan: Plan, other: dict[str, str]):
    pretend_training(plan.runs[0])
    pretend_measuring(plan.runs[0], **other)
    assert not state_of(plan.runs[0], plan.study).is_finished


def test_number_that_is_not_finite_is_a_divergence(plan: Plan):
    pretend_training(plan.runs[0])
    pretend_measuring(plan.runs[0], top1=None)
    state = state_of(plan.runs[0], plan.study)
    assert (state.is_over, state.is_finished, state.diverged) == (True, False, "its top1 is not a finite number")


def test_divergence_is_kept_until_the_run_is_measured(plan: Plan):
    run = plan.runs[0]
    pretend_training(run, step=4)
    record_divergence(run, "loss is nan")
    assert (state_of(run, plan.study).diverged, state_of(run, plan.study).is_over) == ("loss is nan", True)
    pretend_training(run)
    pretend_measuring(run)
    assert (state_of(run, plan.study).diverged, state_of(run, plan.study).is_finished) == ("", True)


def test_damaged_measurement_is_named(plan: Plan):
    pretend_training(plan.runs[0])
    (plan.runs[0].folder / "evaluation.json").write_text("{")
    with pytest.raises(DataError, match=r"evaluation\.json cannot be read"):
        state_of(plan.runs[0], plan.study)


def test_arm_is_expected_to_take_what_its_finished_runs_took(plan: Plan):
    pretend_training(plan.runs[0])
    pretend_measuring(plan.runs[0])
    pretend_training(plan.runs[2], step=2)
    states = {run.index: state_of(run, plan.study) for run in plan.runs}
    left = [hours_left(plan, run, states) for run in plan.runs]
    assert left == pytest.approx([0.0, plan.study.hours_per_run, 72 / 3600 * 0.75, plan.study.hours_per_run])


def test_plan_names_runs_and_the_array(plan: Plan):
    lines = plan_lines(plan)
    assert lines[0] == "Tiny: 2 arms, 2 seeds, 4 runs"
    assert lines[-2] == "expected: 0.02 hours in turn on one machine"
    assert f"--array=0-3 --nodes=1 launch/slurm.sbatch study --config={plan.source}" in lines[-1]
    assert f"--workdir={plan.workdir} '--run={{task}}'" in lines[-1]


def test_table_has_a_line_for_each_run_and_fits_the_terminal(plan: Plan):
    pretend_training(plan.runs[1], step=4)
    table = ProgressTable(plan, plan.runs)
    lines = table.lines(most=20)
    assert lines[0] == "Tiny: 0 of 4 runs finished"
    assert lines[3].split() == ["1", "with-gauss", "0", "to", "do", "4/8", "50.00", "%", "36s"]
    assert len(table.lines(most=4)) == 4
    assert latest_value(plan.runs[0], plan.study) is None


def test_lines_elsewhere_are_plain(plan: Plan, capsys: pytest.CaptureFixture[str]):
    table = ProgressTable(plan, plan.runs)
    with table:
        table.set_note(plan.runs[0], "training")
        table.set_note(plan.runs[0], "training")
        table.refresh()
    assert capsys.readouterr().err == "[1/4] none seed 0: training\n"
