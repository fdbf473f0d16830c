"""A run that cannot start, go on or save ends with an error, and says neither that it saved nor that it finished."""

import dataclasses
import logging
from pathlib import Path

import pytest
from jaxtyping import PyTree

from gauss_vit.batches import Batch
from gauss_vit.errors import BusyError, ConfigError, DataError, StorageError
from gauss_vit.train.loop import fit
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.workdir import lock as workdirs
from tests.train.toy import TRAINING, batch_of, run_in

pytestmark = [pytest.mark.optimized, pytest.mark.usefixtures("settled_heap")]


@pytest.fixture(autouse=True)
def logs(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Collects what a run says."""
    caplog.set_level(logging.INFO)
    return caplog


@pytest.mark.parametrize("field", ["batch_size", "eval_batch_size"])
def test_batch_that_does_not_fit_the_devices_is_refused(tmp_path: Path, field: str):
    with pytest.raises(ConfigError, match=f"training.{field} 12 is not divisible by the number of devices 8"):
        run_in(tmp_path, dataclasses.replace(TRAINING, **{field: 12}), mesh=MeshConfig())


def test_feed_that_ends_early_is_an_error(tmp_path: Path):
    run = run_in(tmp_path)
    feed = dataclasses.replace(run.feed, train=lambda start: (batch_of(step, 8) for step in range(start, 5)))
    with pytest.raises(DataError, match="end at step 5 of 12"):
        fit(dataclasses.replace(run, feed=feed))


def test_workdir_in_use_is_refused(tmp_path: Path):
    with workdirs.hold(tmp_path), pytest.raises(BusyError):
        fit(run_in(tmp_path))


def test_failed_save_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs: pytest.LogCaptureFixture):
    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("orbax.checkpoint.CheckpointManager._finalize_checkpoint", fail)
    with pytest.raises(StorageError, match="saving checkpoint 3 failed"):
        fit(run_in(tmp_path))
    assert not any(message.startswith(("finished", "saved")) for message in logs.messages)


def test_failure_of_the_last_save_is_not_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs: pytest.LogCaptureFixture
):
    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("orbax.checkpoint.CheckpointManager._finalize_checkpoint", fail)
    with pytest.raises(StorageError, match="saving checkpoint 12 failed"):
        fit(run_in(tmp_path, dataclasses.replace(TRAINING, checkpoint_every=100)))
    assert not any(message.startswith("finished") for message in logs.messages)


def test_run_whose_start_is_refused_writes_nothing(tmp_path: Path):
    def refuse(params: PyTree, batch: Batch) -> None:
        raise ConfigError("dead")

    with pytest.raises(ConfigError, match="dead"):
        fit(dataclasses.replace(run_in(tmp_path), check_start=refuse))
    assert {path.name for path in tmp_path.rglob("*")} == {".lock", "checkpoints"}
