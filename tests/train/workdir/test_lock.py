"""The folder of a run is held by one process and never half written."""

import errno
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gauss_vit.errors import BusyError, StorageError
from gauss_vit.train.workdir import lock as workdirs

HOLD = """
import sys, time
from pathlib import Path
from gauss_vit.train.workdir import lock
with lock.hold(Path(sys.argv[1])) as hold:
    hold.announce()
    sys.stdout.write("held\\n"); sys.stdout.flush()
    time.sleep(60)
"""


def test_folder_is_made_with_its_parents(tmp_path: Path):
    with workdirs.hold(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b" / "checkpoints").is_dir()


def test_second_holder_is_told_who_holds_it(tmp_path: Path):
    with workdirs.hold(tmp_path) as hold:
        hold.announce()
        with (
            pytest.raises(BusyError, match=f"in use by pid {os.getpid()} on host .* since 20"),
            workdirs.hold(tmp_path),
        ):
            pass
    with workdirs.hold(tmp_path):
        pass


def test_hold_ends_with_its_process_however_it_ends(tmp_path: Path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(BusyError, match=f"pid {process.pid}"), workdirs.hold(tmp_path):
            pass
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=20)
    with workdirs.hold(tmp_path):
        pass


def test_holding_changes_no_file(tmp_path: Path):
    with workdirs.hold(tmp_path) as hold:
        hold.announce()
    before = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path, *tmp_path.rglob("*")))
    with workdirs.hold(tmp_path):
        pass
    assert sorted((path, path.stat().st_mtime_ns) for path in (tmp_path, *tmp_path.rglob("*"))) == before


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_path_that_is_no_folder_is_refused(tmp_path: Path, name: str):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write") as caught, workdirs.hold(tmp_path / name):
        pass
    assert caught.value.code == "WORKDIR"


def test_folder_without_permission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(StorageError, match="permission denied"), workdirs.hold(tmp_path):
        pass


@pytest.mark.parametrize("target", ["mine", "missing"])
def test_lock_that_is_a_link_is_refused_and_not_followed(tmp_path: Path, target: str):
    (tmp_path / "mine").write_text("kept")
    (tmp_path / ".lock").symlink_to(target)
    with pytest.raises(StorageError, match=r"\.lock: it is a link") as caught, workdirs.hold(tmp_path) as hold:
        hold.announce()
    assert (caught.value.code, caught.value.exit_status) == ("WORKDIR", 8)
    assert ((tmp_path / "mine").read_text(), (tmp_path / "missing").exists()) == ("kept", False)


def test_full_disk_under_the_lock_is_an_error(tmp_path: Path):
    class FullDisk(io.FileIO):
        def write(self, data: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with (
        FullDisk(tmp_path / ".lock", "a") as file,
        pytest.raises(StorageError, match=r"\.lock: No space left") as caught,
    ):
        workdirs.Hold(workdir=tmp_path, file=file).announce()
    assert (caught.value.code, caught.value.exit_status) == ("WORKDIR", 8)


def test_json_is_written_whole_and_only_when_it_changes(tmp_path: Path):
    path = tmp_path / "config.json"
    workdirs.write_json(path, {"a": [1, 2]})
    before = path.stat().st_mtime_ns
    workdirs.write_json(path, {"a": [1, 2]})
    assert path.stat().st_mtime_ns == before
    workdirs.write_json(path, {"a": [1, 3]})
    assert (path.read_text(), list(tmp_path.iterdir())) == ('{\n  "a": [\n    1,\n    3\n  ]\n}\n', [path])


def test_json_that_cannot_be_written_is_an_error(tmp_path: Path):
    with pytest.raises(StorageError, match="cannot write"):
        workdirs.write_json(tmp_path / "missing" / "config.json", {})
