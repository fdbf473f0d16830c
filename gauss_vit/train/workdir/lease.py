"""The lease of a run's folder on a file system that several machines share, where a lock may hold on one of them alone.

It is a file that its holder writes again every few seconds. Nobody's clock is compared with another's: who finds a
lease watches for a while whether it changes. A lease of a process that was killed is taken at once on its own machine,
and after three missing beats on another one.
"""

import contextlib
import dataclasses
import errno
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gauss_vit.errors import BusyError, StorageError
from gauss_vit.files import replacing

LEASE = ".lease"
BEAT_SECONDS = 5.0
_MISSED_BEATS = 3
_PATIENCE_SECONDS = 5.0
_NO_LEASE = (errno.ENOENT, errno.ELOOP)
_LONGEST = 1000
_LOCAL = frozenset(
    {"apfs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "hfs", "overlay", "ramfs", "tmpfs", "vfat", "xfs", "zfs"}
)
_MOUNTS = Path("/proc/self/mountinfo")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lease:
    """A lease that is renewed in another thread.

    Attributes:
      path: the file.
      token: what tells it from all others.
      is_lost: set once the file is no longer this lease.
      is_over: set when it is to end.
    """

    path: Path
    token: str
    is_lost: threading.Event
    is_over: threading.Event

    def require(self) -> None:
        """Makes sure that nobody has taken the folder over.

        Raises:
          BusyError: somebody has.
          StorageError: code WORKDIR, it cannot be read.
        """
        found = _read_patiently(self.path)
        if self.is_lost.is_set() or found.get("token") != self.token:
            raise busy(self.path.parent, _owner(found))

    def renew(self, *, beat_seconds: float) -> None:
        """Writes the file again and again, until the lease ends or is lost."""
        count = 0
        while not self.is_over.wait(beat_seconds):
            # A beat that cannot be read or written is made up by the next one.
            with contextlib.suppress(OSError):
                if _read(self.path).get("token") != self.token:
                    self.is_lost.set()
                    return
                count += 1
                with replacing(self.path) as temporary:
                    temporary.write_text(_content(self.token, count), encoding="utf-8")


@contextlib.contextmanager
def take(workdir: Path, *, beat_seconds: float = BEAT_SECONDS) -> Iterator[Lease]:
    """Takes the lease of a folder for a `with` block.

    Raises:
      BusyError: another process holds it.
      StorageError: code WORKDIR, it cannot be read or written.
    """
    path = workdir / LEASE
    found = _read_patiently(path)
    if found and not _is_left_behind(path, found, seconds=_MISSED_BEATS * beat_seconds):
        raise busy(workdir, _owner(found))
    lease = Lease(path=path, token=secrets.token_hex(8), is_lost=threading.Event(), is_over=threading.Event())
    try:
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w", encoding="utf-8") as file:
            file.write(_content(lease.token, 0))
    except FileExistsError as error:
        raise busy(workdir, _owner(_read_patiently(path))) from error
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}", code="WORKDIR") from error
    renewal = threading.Thread(target=lease.renew, kwargs={"beat_seconds": beat_seconds}, name="lease", daemon=True)
    renewal.start()
    try:
        yield lease
    finally:
        lease.is_over.set()
        renewal.join()
        # What cannot be removed is a lease of a process that is gone.
        with contextlib.suppress(OSError):
            if _read(path).get("token") == lease.token:
                path.unlink(missing_ok=True)


def busy(workdir: Path, owner: str) -> BusyError:
    """Builds the error of a folder that another run holds."""
    return BusyError(f"{workdir} is in use by {owner}", do="wait for it, or choose another --workdir")


def is_local(folder: Path) -> bool:
    """Returns whether a folder is on a disk of this machine; True where the system does not tell."""
    try:
        device, lines = folder.stat().st_dev, _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return True
    wanted = f"{os.major(device)}:{os.minor(device)}"
    kinds = [line.partition(" - ")[2].split(" ")[0] for line in lines if line.split(" ")[2:3] == [wanted]]
    return all(kind in _LOCAL for kind in kinds)


def _is_left_behind(path: Path, found: dict[str, Any], *, seconds: float) -> bool:
    """Returns whether the holder of a lease is gone."""
    if found.get("machine") == _machine() and not _is_running(found.get("pid")):
        return True
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(seconds / 30)
        if _read_patiently(path) != found:
            return False
    return True


def _is_running(pid: object) -> bool:
    try:
        os.kill(int(str(pid)), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _read_patiently(path: Path) -> dict[str, Any]:
    """Reads a lease, for some seconds again where the storage fails, as one in a network may for a moment.

    Raises:
      StorageError: code WORKDIR, it cannot be read.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return _read(path)
        except OSError as error:
            if time.monotonic() >= deadline:
                raise StorageError(f"cannot read {path}: {error.strerror or error}", code="WORKDIR") from error
        time.sleep(_PATIENCE_SECONDS / 30)


def _read(path: Path) -> dict[str, Any]:
    """Reads a lease; empty where there is none, a link is in its place, or it is torn.

    Raises:
      OSError: the storage fails, which says nothing of the lease.
    """
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), encoding="utf-8", errors="replace") as file:
            content = json.loads(file.read(_LONGEST))
    except OSError as error:
        if error.errno in _NO_LEASE:
            return {}
        raise
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _content(token: str, count: int) -> str:
    owner = {"pid": os.getpid(), "host": socket.gethostname(), "machine": _machine()}
    return json.dumps({"token": token, "beat": count, **owner})


def _machine() -> str:
    """Tells machines apart, and containers in which process ids mean other processes."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip())
    with contextlib.suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


def _owner(found: dict[str, Any]) -> str:
    return f"pid {found['pid']} on host {found['host']}" if {"pid", "host"} <= found.keys() else "another process"
