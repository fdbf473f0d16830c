"""Calls of Python that write, refused within a run; `test_storage_faults` refuses every system call of a process."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gauss_vit.errors import StorageError
from gauss_vit.train.checkpoint.metadata import Record
from gauss_vit.train.checkpoint.reader import restore_state
from gauss_vit.train.loop import fit
from tests.train.bits import trace_of
from tests.train.toy import run_in


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, Record]:
    """The bits of a run on a sound disk."""
    workdir = tmp_path_factory.mktemp("undisturbed")
    fit(run_in(workdir))
    return trace_of(workdir)


class Refused:
    """A call that fails the n-th time."""

    def __init__(self, call: Callable[..., object], *, when: int):
        self.call, self.when, self.count = call, when, 0

    def __call__(self, *arguments: object, **named: object) -> object:
        self.count += 1
        if self.count == self.when:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.call(*arguments, **named)


@pytest.mark.parametrize(("name", "when"), [("fsync", 30), ("rename", 2), ("mkdir", 9), ("unlink", 3), ("rmdir", 4)])
def test_refused_call_costs_nothing_that_was_announced(
    undisturbed: tuple[str, str, Record],
    tmp_path: Path,
    name: str,
    when: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    refused = Refused(vars(os)[name], when=when)
    code = "none"
    with monkeypatch.context() as patch:
        patch.setattr(os, name, refused)
        try:
            fit(run_in(tmp_path))
        except StorageError as error:
            code = error.code
    assert refused.count >= when and code in ("none", "STORAGE-FULL")
    announced = [int(message.split()[-1]) for message in caplog.messages if message.startswith("saved checkpoint")]
    run = run_in(tmp_path)
    if announced:
        assert restore_state(tmp_path, run.program.abstract).step >= announced[-1]
    fit(run)
    assert trace_of(tmp_path) == undisturbed
