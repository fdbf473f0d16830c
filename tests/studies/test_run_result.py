"""What a finished run has to say, from files that are written here."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from gauss_vit.errors import DataError
from gauss_vit.studies import run_result, run_state
from gauss_vit.studies.plan import Plan
from gauss_vit.studies.run_result import RunResult, over_layers, read_result
from gauss_vit.studies.run_state import state_of
from gauss_vit.train.checkpoint.metadata import DamagedError
from tests.studies.pretended import NUM_STEPS, RECORD, plan_in, pretend_measuring, pretend_training


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """A plan whose first run is finished."""
    monkeypatch.setattr(run_result, "read_record", lambda folder, step: RECORD)
    found = plan_in(tmp_path)
    run = found.runs[0]
    pretend_training(run)
    pretend_measuring(run)
    lines = [
        {"step": 4, "split": "observe", "gaussian/sigma/layer_00": 9.0},
        {"step": NUM_STEPS, "split": "observe", "gaussian/sigma/layer_01": 5.0, "gaussian/sigma/layer_00": 4.0},
    ]
    (run.folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    np.savez(
        run.folder / "predictions.npz",
        label=np.array([1, 2, 3, 4], np.int32),
        predicted=np.array([1, 0, 0, 0], np.int32),
    )
    return found


def result(plan: Plan) -> RunResult:
    return read_result(plan.runs[0], state_of(plan.runs[0], plan.study), plan.study)


def test_numbers_are_those_of_the_files(plan: Plan):
    found = result(plan)
    assert (found.value, found.metrics["loss"], found.order) == (0.25, 2.0, "abcd")
    assert found.is_right is not None and found.is_right.tolist() == [True, False, False, False]
    assert found.learned == {"gaussian/sigma": (4.0, 5.0)}
    assert (found.seconds_per_step, found.seconds) == (16 / 64, 72.0)
    assert (found.revision, found.machine) == ("r", "1 x cpu")
    assert found.field is None and found.half_mass_radius is None


def test_metric_that_is_not_measured_is_named(plan: Plan):
    path = plan.runs[0].folder / "evaluation.json"
    path.write_text(path.read_text().replace("top1", "mIoU"))
    with pytest.raises(DataError, match=r"has no number 'top1'.*loss, mIoU"):
        result(plan)


def test_classes_of_images_that_do_not_fit_are_refused(plan: Plan):
    np.savez(plan.runs[0].folder / "predictions.npz", label=np.zeros(3, np.int32), predicted=np.zeros(2, np.int32))
    with pytest.raises(DataError, match="does not hold the classes of images"):
        result(plan)


def test_classes_of_images_of_another_measurement_are_refused(plan: Plan):
    np.savez(plan.runs[0].folder / "predictions.npz", label=np.zeros(3, np.int32), predicted=np.zeros(3, np.int32))
    with pytest.raises(DataError, match="not of the same measurement"):
        result(plan)


def test_single_images_say_nothing_about_another_number_than_top1(plan: Plan):
    other = dataclasses.replace(plan.study, metric="loss", unit="")
    found = read_result(plan.runs[0], state_of(plan.runs[0], other), other)
    assert (found.value, found.is_right) == (2.0, None)
    assert found.label is not None


def test_number_that_a_layer_lacks_is_left_out():
    observed = {"gaussian/sigma/layer_00": None, "gaussian/sigma/layer_01": 5.0, "gaussian/amplitude/layer_00": 2.0}
    assert over_layers(observed) == {"gaussian/amplitude": (2.0,)}


def test_observations_are_those_of_the_step_that_was_measured(plan: Plan, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run_state, "best_step", lambda folder: 4)
    best = dataclasses.replace(plan.study, weights="best")
    pretend_measuring(plan.runs[0], step=4)
    found = read_result(plan.runs[0], state_of(plan.runs[0], best), best)
    assert found.learned == {"gaussian/sigma": (9.0,)}


def test_runs_without_classes_of_images_are_read(plan: Plan):
    (plan.runs[0].folder / "predictions.npz").unlink()
    assert result(plan).is_right is None


def test_damaged_checkpoint_is_named(plan: Plan, monkeypatch: pytest.MonkeyPatch):
    def damaged(folder: Path, step: int) -> None:
        raise DamagedError("short")

    monkeypatch.setattr(run_result, "read_record", damaged)
    with pytest.raises(DataError, match="is damaged: short"):
        result(plan)
