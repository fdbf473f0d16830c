"""A run that continues with another config, because it is told to: every change is said, logged and recorded."""

import dataclasses
from pathlib import Path

import pytest

from gauss_vit.batches import Batch
from gauss_vit.errors import CheckpointError, ConfigError
from gauss_vit.train.checkpoint.origin import Override
from gauss_vit.train.checkpoint.reader import read_record
from gauss_vit.train.loop import Run, fit
from tests.train.incidents import with_batches, with_training
from tests.train.states import TRAINED_ON
from tests.train.toy import TRAINING, run_in

SHORT = dataclasses.replace(TRAINING, num_steps=6)
LARGER_BATCH = "training.batch_size: 8 -> 16"


def larger_batch(run: Run) -> Run:
    """The same run, longer, and with a batch of another size."""
    return dataclasses.replace(with_training(run, num_steps=12, batch_size=16), resume="override")


def with_digest(run: Run, text: str) -> Run:
    return dataclasses.replace(run, feed=dataclasses.replace(run.feed, digest=lambda step: f"{text}-{step}"))


def test_override_is_logged_and_recorded_and_from_then_on_the_config_of_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    fit(run_in(tmp_path, SHORT))
    changed = with_digest(larger_batch(run_in(tmp_path, SHORT)), "other")
    fit(changed)
    other_batch = "batch 6 is other-6, and was digest-6 when saved"
    assert f"config overridden: {LARGER_BATCH}" in caplog.messages
    assert f"the data set changed under the run: {other_batch}" in caplog.messages
    expected = (Override(step=6, changes=(LARGER_BATCH, other_batch)),)
    assert read_record(tmp_path, 12).origin.overrides == expected
    with pytest.raises(ConfigError, match="batch_size: 16 -> 8"):
        fit(with_training(run_in(tmp_path, SHORT), num_steps=15))
    fit(dataclasses.replace(with_training(changed, num_steps=15), resume="same"))
    assert read_record(tmp_path, 15).origin.overrides == expected


def test_override_of_a_process_that_saved_nothing_is_recorded_by_the_next(tmp_path: Path):
    def crash(step: int, batch: Batch) -> Batch:
        raise OSError("the disk of the data set is gone")

    fit(run_in(tmp_path, SHORT))
    changed = larger_batch(run_in(tmp_path, SHORT))
    with pytest.raises(OSError, match="data set"):
        fit(with_batches(changed, crash))
    fit(dataclasses.replace(changed, resume="same"))
    assert read_record(tmp_path, 12).origin.overrides == (Override(step=6, changes=(LARGER_BATCH,)),)


def test_other_arrays_and_other_classes_are_refused_all_the_same(tmp_path: Path):
    run = dataclasses.replace(run_in(tmp_path, SHORT), trained_on=TRAINED_ON)
    fit(run)
    longer = dataclasses.replace(with_training(run, num_steps=12), resume="override")
    with pytest.raises(CheckpointError, match=r"missing ema\."):
        fit(with_training(longer, ema_decay=0.5))
    with pytest.raises(CheckpointError, match="missing classes: wren"):
        fit(dataclasses.replace(longer, trained_on=dataclasses.replace(TRAINED_ON, class_names=("crow", "gull"))))


def test_override_is_offered_only_where_it_helps(tmp_path: Path):
    run = run_in(tmp_path, SHORT)
    fit(run)
    for change, do in (({"batch_size": 16}, "--resume=override"), ({"ema_decay": 0.5}, "--config.start.weights=")):
        with pytest.raises(ConfigError) as caught:
            fit(with_training(run, num_steps=12, **change))
        assert caught.value.code == "RESUME-CONFIG" and do in caught.value.do
        assert ("--resume=override" in caught.value.do) == ("batch_size" in change)


def test_fewer_steps_than_were_made_are_refused(tmp_path: Path):
    fit(run_in(tmp_path, SHORT))
    shorter = with_training(run_in(tmp_path, SHORT), num_steps=5)
    with pytest.raises(ConfigError, match=r"the run has made 6 steps, and training\.num_steps is 5") as caught:
        fit(dataclasses.replace(shorter, resume="override"))
    assert caught.value.do == "set it to 6 at least, or use a new --workdir"


def test_fresh_folder_has_nothing_to_override(tmp_path: Path):
    fit(dataclasses.replace(run_in(tmp_path, SHORT), resume="override"))
    assert read_record(tmp_path, 6).origin.overrides == ()
