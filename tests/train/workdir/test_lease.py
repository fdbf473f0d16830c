"""The lease of a folder that machines share: one holder, and a way out of what a killed one left."""

import errno
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gauss_vit.errors import BusyError, StorageError
from gauss_vit.train.workdir import lease, lock

BEAT = 0.05
HOLD = """
import fcntl, functools, sys
from pathlib import Path
from gauss_vit.errors import BusyError
from gauss_vit.train.workdir import lease, lock

def flock(file, operation):
    raise OSError("no locks available")

fcntl.flock, lease.is_local = flock, lambda folder: False
lease.take = functools.partial(lease.take, beat_seconds=0.5)
try:
    with lock.hold(Path(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.read()
except BusyError as error:
    print(error.message, flush=True)
"""
"""Holds a folder, as on a file system that machines share and that has no locks, until its input ends."""

IN_NAMESPACE = ("unshare", "--user", "--map-root-user", "--uts")


def has_namespaces() -> bool:
    """Returns whether a process may have a host name of its own."""
    try:
        return subprocess.run([*IN_NAMESPACE, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def leave_behind(workdir: Path, **changes: object) -> None:
    """Writes the lease of a process that is gone, or of one elsewhere."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    found = {"token": "old", "beat": 3, "pid": process.pid, "host": "h", "machine": lease._machine()}
    (workdir / lease.LEASE).write_text(json.dumps(found | changes))


def test_a_lease_that_beats_is_respected_and_one_that_ended_is_gone(tmp_path: Path):
    with lease.take(tmp_path, beat_seconds=BEAT):
        first = (tmp_path / lease.LEASE).read_text()
        with (
            pytest.raises(BusyError, match=f"is in use by pid {os.getpid()} on host "),
            lease.take(tmp_path, beat_seconds=BEAT),
        ):
            pass
        time.sleep(2 * BEAT)
        assert (tmp_path / lease.LEASE).read_text() != first
    assert list(tmp_path.iterdir()) == []


def test_a_lease_of_a_killed_process_of_this_machine_is_taken_at_once(tmp_path: Path):
    leave_behind(tmp_path)
    start = time.monotonic()
    with lease.take(tmp_path, beat_seconds=60.0) as taken:
        taken.require()
    assert time.monotonic() - start < 5.0


def test_a_silent_lease_of_another_machine_is_taken_after_three_beats(tmp_path: Path):
    leave_behind(tmp_path, machine="elsewhere")
    start = time.monotonic()
    with lease.take(tmp_path, beat_seconds=0.1) as taken:
        assert 0.3 <= time.monotonic() - start < 5.0
        taken.require()


def test_a_holder_that_was_suspended_and_replaced_may_not_write(tmp_path: Path):
    with lease.take(tmp_path, beat_seconds=BEAT) as taken:
        leave_behind(tmp_path, token="other")
        with pytest.raises(BusyError, match="in use by pid"):
            taken.require()
        assert taken.is_lost.wait(5.0)
    assert "other" in (tmp_path / lease.LEASE).read_text(), "the lease of the other one stays"


def test_a_torn_lease_is_none_and_a_link_is_not_followed(tmp_path: Path):
    (tmp_path / lease.LEASE).write_text('{"token": "a')
    with lease.take(tmp_path, beat_seconds=BEAT):
        pass
    (tmp_path / "mine").write_text("kept")
    (tmp_path / lease.LEASE).symlink_to("mine")
    with lease.take(tmp_path, beat_seconds=BEAT):
        pass
    assert (tmp_path / "mine").read_text() == "kept"
    with pytest.raises(StorageError, match=r"cannot write .*\.lease"), lease.take(tmp_path / "none", beat_seconds=BEAT):
        pass


class FailingStorage:
    """Lets reads of a lease fail, so many of them, as a server of files may that is started again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.num_failures = 0
        self.has_failed = threading.Event()
        self._open = os.open
        monkeypatch.setattr(os, "open", self)
        monkeypatch.setattr(lease, "_PATIENCE_SECONDS", 0.2)

    def __call__(self, path: os.PathLike[str] | str, flags: int, *arguments: int, **named: int) -> int:
        if Path(path).name == lease.LEASE and not flags & os.O_CREAT and self.num_failures > 0:
            self.num_failures -= 1
            self.has_failed.set()
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return self._open(path, flags, *arguments, **named)


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> FailingStorage:
    return FailingStorage(monkeypatch)


def test_a_beat_that_cannot_be_read_does_not_end_a_lease(tmp_path: Path, storage: FailingStorage):
    with lease.take(tmp_path, beat_seconds=BEAT) as taken:
        storage.num_failures = 1
        assert storage.has_failed.wait(5.0)
        time.sleep(2 * BEAT)
        taken.require()
        assert not taken.is_lost.is_set()


def test_a_failed_read_is_made_again_before_a_save(tmp_path: Path, storage: FailingStorage):
    with lease.take(tmp_path, beat_seconds=60.0) as taken:
        storage.num_failures = 2
        taken.require()
        storage.num_failures = 10**6
        with pytest.raises(StorageError, match=r"cannot read .*\.lease: Stale file handle"):
            taken.require()


def test_a_lease_that_cannot_be_read_is_not_taken(tmp_path: Path, storage: FailingStorage):
    with lease.take(tmp_path, beat_seconds=BEAT):
        for num_failures, error in ((1, BusyError), (10**6, StorageError)):
            storage.num_failures = num_failures
            with pytest.raises(error), lease.take(tmp_path, beat_seconds=10 * BEAT):
                pass
        storage.num_failures = 0
        assert str(os.getpid()) in (tmp_path / lease.LEASE).read_text()


def test_a_lease_that_cannot_be_removed_hides_no_error(tmp_path: Path, storage: FailingStorage):
    with pytest.raises(KeyError), lease.take(tmp_path, beat_seconds=60.0):
        storage.num_failures = 10**6
        raise KeyError


def hold_on(host: str, workdir: Path) -> subprocess.Popen[str]:
    """Starts a process that holds a folder, on a host of that name."""
    command = 'hostname "$0" && exec "$@"'
    program = [sys.executable, "-c", HOLD, str(workdir)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen([*IN_NAMESPACE, "sh", "-c", command, host, *program], text=True, **pipes)


@pytest.mark.full
@pytest.mark.skipif(not has_namespaces(), reason="needs namespaces for host names (unshare --user --uts)")
def test_a_run_on_another_host_is_kept_out_until_the_first_is_gone(tmp_path: Path):
    with hold_on("alpha", tmp_path) as first:
        assert first.stdout.readline() == "held\n"
        with hold_on("beta", tmp_path) as second:
            assert second.stdout.readline() == f"{tmp_path} is in use by pid {first.pid} on host alpha\n"
        first.kill()
    start = time.monotonic()
    with hold_on("beta", tmp_path) as third:
        assert third.stdout.readline() == "held\n"
        assert time.monotonic() - start >= 3 * 0.5
        third.stdin.close()
    assert third.returncode == 0
    assert not (tmp_path / lease.LEASE).exists()


@pytest.mark.parametrize("has_locks", [True, False])
def test_a_folder_that_machines_share_is_held_by_a_lease_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_locks: bool
):
    def unsupported(file: object, operation: int) -> None:
        raise OSError("no locks available")

    monkeypatch.setattr(lease, "is_local", lambda folder: not has_locks)
    if not has_locks:
        monkeypatch.setattr(lock.fcntl, "flock", unsupported)
    with lock.hold(tmp_path) as hold:
        assert (tmp_path / lease.LEASE).exists()
        hold.require()
    assert not (tmp_path / lease.LEASE).exists()


def test_disks_of_this_machine_need_no_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert lease.is_local(tmp_path)
    device = tmp_path.stat().st_dev
    mounts = tmp_path / "mounts"
    mounts.write_text(f"36 35 {os.major(device)}:{os.minor(device)} / /mnt rw - nfs4 server:/home rw\n")
    monkeypatch.setattr(lease, "_MOUNTS", mounts)
    assert not lease.is_local(tmp_path)
