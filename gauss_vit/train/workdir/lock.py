"""The lock of a run's folder, and atomic writes of its files."""

import contextlib
import dataclasses
import datetime
import fcntl
import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from gauss_vit.config.schema import JsonValue
from gauss_vit.errors import BusyError, StorageError
from gauss_vit.files import append_bytes, make_folder, replacing
from gauss_vit.train.checkpoint.reader import CHECKPOINTS

CONFIG, ENVIRONMENT, LOCK = "config.json", "env.json", ".lock"
_LONGEST_OWNER = 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hold:
    """The right to write to a workdir; the system takes it back when the process ends, however it ends.

    Attributes:
      workdir: the folder.
      file: open lock file.
    """

    workdir: Path
    file: IO[bytes]

    def announce(self) -> None:
        """Writes who holds the folder since when, for the message that a second process gives.

        Raises:
          StorageError: code WORKDIR, the disk is full.
        """
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        try:
            self.file.truncate(0)
            self.file.write(f"pid {os.getpid()} on host {socket.gethostname()} since {now}".encode())
        except OSError as error:
            raise _unwritable(self.workdir / LOCK, error.strerror or str(error)) from error


@contextlib.contextmanager
def hold(workdir: Path) -> Iterator[Hold]:
    """Locks the folder of a run, which is created where it is missing, and keeps other processes from writing to it.

    Files that exist already are not touched.

    Raises:
      StorageError: code WORKDIR, the folder cannot be created or written.
      BusyError: another process holds it.
    """
    try:
        make_folder(workdir / CHECKPOINTS)
    except OSError as error:
        raise _unwritable(workdir, error.strerror or str(error)) from error
    try:
        file = append_bytes(workdir / LOCK)
    except OSError as error:
        raise _unwritable(workdir / LOCK, error.strerror or str(error)) from error
    with file:
        for folder in (workdir, workdir / CHECKPOINTS):
            if not os.access(folder, os.W_OK | os.X_OK):
                raise _unwritable(folder, "permission denied")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            owner = file.read(_LONGEST_OWNER).decode(errors="replace") or "another process"
            raise BusyError(f"{workdir} is in use by {owner}", do="wait for it, or choose another --workdir") from error
        yield Hold(workdir=workdir, file=file)


def write_json(path: Path, value: Mapping[str, JsonValue]) -> None:
    """Writes a JSON file atomically; a file with the same content is not touched.

    Raises:
      StorageError: it cannot be written.
    """
    text = json.dumps(value, indent=2) + "\n"
    try:
        if path.exists() and path.read_text(encoding="utf-8") == text:
            return
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


def _unwritable(path: Path, reason: str) -> StorageError:
    return StorageError(
        f"cannot write {path}: {reason}",
        code="WORKDIR",
        do="choose a --workdir that you may write, on a disk with space",
    )
