"""What orbax prints stays away from the terminal; what others print does not."""

import logging
import sys
from pathlib import Path

import orbax.checkpoint as ocp
import pytest
from absl import logging as absl_logging

from gauss_vit.errors import StorageError
from gauss_vit.train.checkpoint.quiet import quietly
from tests.train.states import progress_at, state_at, writer_in


def fail(*arguments: object, **named: object) -> None:
    raise OSError("the disk is gone")


def test_failed_save_is_said_by_its_error_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(ocp.CheckpointManager, "_finalize_checkpoint", fail)
    with pytest.raises(StorageError, match="the disk is gone"), writer_in(tmp_path) as writer:
        writer.save(state_at(7), progress_at(7))
    assert "Traceback" not in capfd.readouterr().err
    assert not [record for record in caplog.records if record.name == "absl"]


def test_others_are_heard_and_hooks_are_restored(caplog: pytest.LogCaptureFixture):
    hooks = (sys.excepthook, sys.unraisablehook)
    with quietly():
        absl_logging.warning("of another library")
        sys.excepthook(OSError, OSError("in a thread of C++"), None)
    assert (sys.excepthook, sys.unraisablehook) == hooks
    assert caplog.messages == ["of another library"]
    assert logging.getLogger("absl").filters == []
