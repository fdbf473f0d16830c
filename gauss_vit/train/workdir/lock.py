"""The lock of a run's folder, and atomic writes of its files.

On a disk of this machine the system's lock is enough: it ends with its process, however that ends. On a file system
that several machines share the lock may hold on one of them alone, and a lease is taken as well.
"""

import contextlib
import dataclasses
import datetime
import fcntl
import io
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from gauss_vit.config.schema import JsonValue
from gauss_vit.distributed import processes
from gauss_vit.errors import ConfigError, StorageError, storage_error
from gauss_vit.files import LARGEST_JSON, append_bytes, make_folder, read_bytes, replacing
from gauss_vit.train.checkpoint.reader import CHECKPOINTS
from gauss_vit.train.workdir import lease as leases
from gauss_vit.train.workdir.lease import Lease

CONFIG, ENVIRONMENT, LOCK = "config.json", "env.json", ".lock"
_LONGEST_OWNER = 1000
_LIMIT_SECONDS = 300.0
_APPEARANCE_SECONDS = 10.0
_RETRY_SECONDS = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hold:
    """The right to write to a workdir; the system takes it back when the process ends, however it ends.

    Attributes:
      workdir: the folder.
      file: open lock file; None in the other processes of a run, for which process 0 holds the folder.
      lease: where the folder is shared with other machines.
    """

    workdir: Path
    file: io.FileIO | None = None
    lease: Lease | None = None

    def announce(self) -> None:
        """Writes who holds the folder since when, for the message that a second process gives.

        Raises:
          StorageError: code WORKDIR, the disk is full.
        """
        if self.file is None:
            return
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        try:
            self.file.truncate(0)
            self.file.write(f"pid {os.getpid()} on host {socket.gethostname()} since {now}".encode())
        except OSError as error:
            raise _unwritable(self.workdir / LOCK, error.strerror or str(error)) from error

    def require(self) -> None:
        """Makes sure that the folder is still held; to be called before anything is written that could do harm.

        Raises:
          BusyError: another machine has taken it over while this one was suspended or cut off.
        """
        if self.lease is not None:
            self.lease.require()


@contextlib.contextmanager
def hold(workdir: Path) -> Iterator[Hold]:
    """Locks the folder of a run, which is created where it is missing, and keeps other runs from writing to it.

    Files that exist already are not touched. With several processes, process 0 holds the folder for all of them.

    Raises:
      StorageError: code WORKDIR, the folder cannot be created or written.
      BusyError: another run holds it.
      ConfigError: code WORKDIR-SHARED, a process does not see the folder of process 0.
    """
    with contextlib.ExitStack() as stack:
        held = [Hold(workdir=workdir)]

        def take() -> None:
            held[0] = stack.enter_context(_held(workdir))

        processes.on_first("the lock of the workdir", take, limit=_LIMIT_SECONDS)
        _require_shared(workdir)
        yield held[0]


@contextlib.contextmanager
def _held(workdir: Path) -> Iterator[Hold]:
    """Locks a folder for this process."""
    try:
        make_folder(workdir / CHECKPOINTS)
    except OSError as error:
        raise _unwritable(workdir, error.strerror or str(error)) from error
    try:
        file = append_bytes(workdir / LOCK)
    except OSError as error:
        raise _unwritable(workdir / LOCK, error.strerror or str(error)) from error
    with file, contextlib.ExitStack() as stack:
        for folder in (workdir, workdir / CHECKPOINTS):
            if not os.access(folder, os.W_OK | os.X_OK):
                raise _unwritable(folder, "permission denied")
        is_locked = _lock(workdir, file)
        needs_lease = not is_locked or not leases.is_local(workdir)
        yield Hold(workdir=workdir, file=file, lease=stack.enter_context(leases.take(workdir)) if needs_lease else None)


def _lock(workdir: Path, file: io.FileIO) -> bool:
    """Locks a file; False where its file system has no locks.

    Raises:
      BusyError: another process has locked it.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        owner = file.read(_LONGEST_OWNER).decode(errors="replace") or "another process"
        raise leases.busy(workdir, owner) from error
    except OSError:
        return False
    return True


def _require_shared(workdir: Path) -> None:
    """Makes sure that all processes of a run see the same folder, by a file that process 0 shows for a moment.

    Raises:
      ConfigError: code WORKDIR-SHARED, one does not.
    """
    if processes.count() == 1:
        return
    name = f".shared-{secrets.token_hex(8)}"
    shown = workdir / str(processes.gather("the name of a file", name, limit=_LIMIT_SECONDS)[0])
    try:
        processes.on_first("a file in the workdir", lambda: _show(shown), limit=_LIMIT_SECONDS)
        processes.together("the workdir", lambda: _see(shown), limit=_LIMIT_SECONDS)
    finally:
        if processes.is_first():
            shown.unlink(missing_ok=True)


def _show(path: Path) -> None:
    try:
        append_bytes(path).close()
    except OSError as error:
        raise _unwritable(path.parent, error.strerror or str(error)) from error


def _see(path: Path) -> None:
    deadline = time.monotonic() + _APPEARANCE_SECONDS
    while not path.exists():
        if time.monotonic() > deadline:
            raise ConfigError(
                f"{path.parent} on {socket.gethostname()} is not the folder of process 0",
                do="choose a --workdir on a file system that all hosts share",
                code="WORKDIR-SHARED",
            )
        time.sleep(_RETRY_SECONDS)


def write_json(path: Path, value: Mapping[str, JsonValue]) -> None:
    """Writes a JSON file atomically; a file with the same content is not touched.

    Raises:
      StorageError: it cannot be written.
    """
    text = json.dumps(value, indent=2) + "\n"
    try:
        if _content(path) == text.encode():
            return
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise storage_error(error, f"cannot write {path}") from error


def _content(path: Path) -> bytes | None:
    """Returns what is in a file; None where there is no file, or none of ours."""
    try:
        return read_bytes(path, limit=LARGEST_JSON)
    except OSError:
        return None


def _unwritable(path: Path, reason: str) -> StorageError:
    return StorageError(
        f"cannot write {path}: {reason}",
        code="WORKDIR",
        do="choose a --workdir that you may write, on a disk with space",
    )
