"""TensorBoard events can be read back, and a failure to write them is said once and costs nothing else."""

import logging
import struct
from pathlib import Path

import pytest
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog

from gauss_vit.train.workdir.event_log import EventLog


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


def test_scalars_are_tagged_by_split(tmp_path: Path):
    log = EventLog(tmp_path, step=0)
    log.append("train", 7, {"loss": 0.5, "top1": 0.25})
    log.close()
    event = read(tmp_path)[-1]
    assert (event.step, [(value.tag, value.simple_value) for value in event.summary.value]) == (
        7,
        [("train/loss", 0.5), ("train/top1", 0.25)],
    )


def test_resume_starts_a_session_that_hides_later_steps(tmp_path: Path):
    for step in (0, 10):
        EventLog(tmp_path, step=step).close()
    starts = [event.step for event in read(tmp_path) if event.session_log.status == SessionLog.START]
    assert starts == [1, 11]


def test_folder_that_cannot_be_written_is_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.WARNING)

    def fail(*arguments: object, **named: object) -> None:
        raise OSError(28, "No space left on device")

    log = EventLog(tmp_path, step=0)
    monkeypatch.setattr(EventsWriter, "write_event", fail)
    for step in range(3):
        log.append("train", step, {"loss": 0.5})
    log.close()
    assert caplog.messages == ["TensorBoard events disabled: No space left on device; training goes on"]


def test_writer_that_never_opens_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "file").write_text("")
    log = EventLog(tmp_path / "file", step=0)
    log.append("train", 1, {"loss": 0.5})
    log.close()
    assert len(caplog.messages) == 1 and "training goes on" in caplog.messages[0]
