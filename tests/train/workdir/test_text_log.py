"""A log that cannot be written is said once, and costs nothing."""

import errno
import io
import logging
from pathlib import Path

import pytest

from gauss_vit.train.workdir import text_log
from gauss_vit.train.workdir.text_log import TextLog

LOGGER = logging.getLogger("gauss_vit")


class FullDisk(io.RawIOBase):
    """A file on a disk without space."""

    def writable(self) -> bool:
        return True

    def write(self, content: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def say(path: Path, *messages: str) -> None:
    log = TextLog(path)
    LOGGER.addHandler(log)
    try:
        for message in messages:
            LOGGER.warning("%s", message)
    finally:
        LOGGER.removeHandler(log)
        log.close()


def test_messages_are_appended(tmp_path: Path):
    say(tmp_path / "train.log", "one")
    say(tmp_path / "train.log", "two")
    assert [line.split(" ", 3)[3] for line in (tmp_path / "train.log").read_text().splitlines()] == ["one", "two"]


def test_a_message_is_one_line_and_cannot_control_the_terminal(tmp_path: Path):
    say(tmp_path / "train.log", "two\nforged\x1b[2J")
    (line,) = (tmp_path / "train.log").read_text().splitlines()
    assert line.endswith(r" WARNING two\nforged\x1b[2J")


def test_full_disk_is_said_once_and_nothing_is_raised(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr(text_log, "append_text", lambda path: io.TextIOWrapper(io.BufferedWriter(FullDisk())))
    say(tmp_path / "train.log", "one", "two")
    warning = f"{tmp_path / 'train.log'} is not written any more: [Errno 28] No space left on device"
    assert sorted(caplog.messages) == sorted(["one", "two", warning])
    assert "Traceback" not in capsys.readouterr().err


def test_nothing_is_written_through_a_link(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "train.log").symlink_to(tmp_path / "elsewhere")
    say(tmp_path / "train.log", "one")
    assert not (tmp_path / "elsewhere").exists()
    assert any("it is a link" in message for message in caplog.messages)
