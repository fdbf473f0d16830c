"""Reads that survive a stumbling disk and never wait for a pipe."""

import errno
import os

import pytest

from gauss_vit.data import file_reading
from gauss_vit.errors import DataError


@pytest.fixture
def pauses(monkeypatch):
    """The pauses taken, without waiting."""
    taken = []
    monkeypatch.setattr(file_reading.time, "sleep", taken.append)
    return taken


def failing(number, times, result=b"content"):
    """A call that raises some times before it succeeds."""
    left = [times]

    def call():
        if left[0]:
            left[0] -= 1
            raise OSError(number, os.strerror(number))
        return result

    return call


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_transient_errors_pass_after_growing_pauses(pauses, number):
    assert file_reading.retry(failing(number, 3)) == b"content"
    assert pauses == sorted(pauses)
    assert len(pauses) == 3


def test_an_error_that_stays_is_raised_after_three_further_tries(pauses):
    with pytest.raises(OSError, match="Stale"):
        file_reading.retry(failing(errno.ESTALE, 4))
    assert len(pauses) == 3


def test_other_errors_are_raised_at_once(pauses):
    with pytest.raises(PermissionError):
        file_reading.retry(failing(errno.EACCES, 1))
    assert pauses == []


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "p.jpg")
    with pytest.raises(DataError, match=r"p\.jpg: not a regular file"):
        file_reading.read_file(tmp_path / "p.jpg")


def test_an_image_of_gigabytes_is_refused_unread(tmp_path):
    with (tmp_path / "p.jpg").open("wb") as file:  # sparse: takes no room on disk
        file.truncate(3 * 10**9)
    with pytest.raises(DataError, match=r"p\.jpg: larger than the limit of 268,435,456 bytes"):
        file_reading.read_file(tmp_path / "p.jpg")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"x\.jpg: No such file") as caught:
        file_reading.read_file(tmp_path / "x.jpg")
    assert caught.value.code == "DATA-DECODE"


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(DataError, match="not a regular file"):
        file_reading.read_file(tmp_path)
