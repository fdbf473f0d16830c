"""A run that is resumed on other data than it was trained on is refused, or says what changed."""

import dataclasses
from pathlib import Path

import pytest

from gauss_vit.errors import CheckpointError
from gauss_vit.files import FileSet
from gauss_vit.train.checkpoint.reader import saved_steps
from gauss_vit.train.loop import fit
from tests.train.incidents import interrupted_at
from tests.train.states import TRAINED_ON
from tests.train.toy import run_in


def test_changed_data_are_refused(tmp_path: Path):
    with pytest.raises(SystemExit):
        fit(interrupted_at(run_in(tmp_path), 5))
    run = run_in(tmp_path)
    with pytest.raises(CheckpointError, match="batch 5 is other, and was digest-5") as caught:
        fit(dataclasses.replace(run, feed=dataclasses.replace(run.feed, digest=lambda step: "other")))
    assert caught.value.code == "RESUME-DATA"


def test_other_classes_are_refused_by_name_although_the_batch_is_the_same(tmp_path: Path):
    run = dataclasses.replace(run_in(tmp_path), trained_on=TRAINED_ON)
    with pytest.raises(SystemExit):
        fit(interrupted_at(run, 5))
    other = dataclasses.replace(TRAINED_ON, class_names=("crow", "gull"))
    with pytest.raises(CheckpointError, match=r"changed: new classes: gull; missing classes: wren DO") as caught:
        fit(dataclasses.replace(run, trained_on=other))
    assert caught.value.code == "RESUME-DATA"


def test_imported_weights_whose_next_batch_is_unknown_are_trained(tmp_path: Path):
    run = run_in(tmp_path)
    with pytest.raises(SystemExit):
        fit(interrupted_at(dataclasses.replace(run, feed=dataclasses.replace(run.feed, digest=lambda step: "")), 5))
    fit(run)
    assert saved_steps(tmp_path)[-1] == 12


def test_files_that_changed_are_said_and_the_run_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    run = dataclasses.replace(run_in(tmp_path), trained_on=TRAINED_ON)
    with pytest.raises(SystemExit):
        fit(interrupted_at(run, 5))
    files = {"birds train": FileSet.of([("wren/1.jpg", 7)])}
    changed = dataclasses.replace(run, trained_on=dataclasses.replace(TRAINED_ON, files=files))
    said = "birds train has 1 file of 7 bytes instead of 2 files of 5 bytes"
    moved = dataclasses.replace(changed.feed, digest=lambda step: "other")
    with pytest.raises(CheckpointError, match=f"changed: {said}; batch 5 is other"):
        fit(dataclasses.replace(changed, feed=moved))
    fit(changed)
    assert f"the data set changed under the run: {said}" in caplog.messages
