"""TensorBoard events can be read back, and a failure to write them is said once and costs nothing else."""

import struct
from pathlib import Path

import numpy as np
import pytest
import tensorboardX
from PIL import Image
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

from gauss_vit.train.tracking.tensorboard import EventFile
from gauss_vit.train.tracking.tracker import TolerantTracker, TrackedRun


def run_in(workdir: Path, step: int = 0) -> TrackedRun:
    return TrackedRun(workdir=workdir, step=step, config={"model": {"depth": 2, "norm": "final"}, "seed": 7})


def read(workdir: Path) -> list[Event]:
    """Reads the records of all event files: length, its checksum, data, their checksum."""
    events = []
    for path in sorted(workdir.glob("events.out.tfevents.*")):
        content, place = path.read_bytes(), 0
        while place < len(content):
            (length,) = struct.unpack("<Q", content[place : place + 8])
            events.append(Event.FromString(content[place + 12 : place + 12 + length]))
            place += 16 + length
    return events


def test_numbers_have_their_names(tmp_path: Path):
    log = EventFile(run_in(tmp_path))
    log.log(7, {"train/loss": 0.5, "train/top1": 0.25})
    log.close()
    event = read(tmp_path)[-1]
    assert (event.step, [(value.tag, value.simple_value) for value in event.summary.value]) == (
        7,
        [("train/loss", 0.5), ("train/top1", 0.25)],
    )


def test_picture_is_the_one_that_was_given(tmp_path: Path):
    pixels = np.random.default_rng(0).integers(0, 256, size=(5, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    log = EventFile(run_in(tmp_path))
    log.show(3, "erf", tmp_path / "a.png")
    log.close()
    (value,) = read(tmp_path)[-1].summary.value
    (tmp_path / "b.png").write_bytes(value.image.encoded_image_string)
    assert value.tag == "erf"
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "b.png")), pixels)


def test_config_is_text_and_hyperparameters(tmp_path: Path):
    EventFile(run_in(tmp_path)).close()
    values = {value.tag: value for event in read(tmp_path) for value in event.summary.value}
    (text,) = values["config/text_summary"].tensor.string_val
    assert b'"depth": 2' in text
    begin = values["_hparams_/session_start_info"].metadata.plugin_data
    found = HParamsPluginData.FromString(begin.content).session_start_info.hparams
    assert begin.plugin_name == "hparams"
    assert (found["model.depth"].number_value, found["model.norm"].string_value) == (2, "final")


def test_resume_starts_a_session_that_hides_later_steps(tmp_path: Path):
    for step in (0, 10):
        EventFile(run_in(tmp_path, step)).close()
    starts = [event.step for event in read(tmp_path) if event.session_log.status == SessionLog.START]
    assert starts == [1, 11]


def test_full_disk_is_one_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    log = TolerantTracker("TensorBoard events", EventFile, run_in(tmp_path))
    monkeypatch.setattr(tensorboardX.RecordWriter, "write", fail)
    for step in range(3):
        log.log(step, {"loss": 0.5})
    log.close()
    assert caplog.messages == ["TensorBoard events disabled: No space left on device; training goes on"]


def test_folder_that_cannot_be_written_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "file").write_text("")
    log = TolerantTracker("TensorBoard events", EventFile, run_in(tmp_path / "file"))
    log.log(1, {"loss": 0.5})
    log.close()
    assert len(caplog.messages) == 1 and "training goes on" in caplog.messages[0]
