"""Errors that a user can cause: what happened, where, and what to do about it.

The command line prints one as `gauss_vit: error[CODE]: message. DO: remedy` and exits with its status, so that a script
can tell a wrong config from a missing data set. As library code they are plain `ValueError`s.
"""

import errno
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_THREAD = "can't start new thread"
_RAISE: Mapping[str, str] = MappingProxyType({os.strerror(errno.EMFILE): "ulimit -n", _NO_THREAD: "ulimit -u"})
"""Limit of the system to raise, by what an error says that has met it."""


class UserError(ValueError):
    """An error that the user can correct.

    Args:
      message: what was expected and what came, with the file, key, record or step.
      do: one thing to do about it; empty when the message already says it.
      code: stable, searchable code; None is the default of the class.
    """

    default_code: ClassVar[str] = "USER"
    exit_status: ClassVar[int] = 2

    def __init__(self, message: str, *, do: str = "", code: str | None = None):
        super().__init__(message)
        self.message = message
        self.do = do
        self.code = code or self.default_code

    def __str__(self) -> str:
        remedy = f" DO: {self.do}" if self.do else ""
        return f"{self.message}{remedy}"


class ConfigError(UserError):
    """A config file, a flag or a combination of values is wrong."""

    default_code = "CONFIG"
    exit_status = 2


class ArrayError(UserError):
    """An array that was given to a function, or that a function returned, has another shape or type."""

    default_code = "ARRAY"
    exit_status = 2


class DataError(UserError):
    """A data set, a record or an image is missing or unreadable."""

    default_code = "DATA"
    exit_status = 3


class CheckpointError(UserError):
    """A checkpoint or a weight file is missing, damaged or does not fit."""

    default_code = "CKPT"
    exit_status = 4


class DivergedError(UserError):
    """The loss or a gradient is no longer finite."""

    default_code = "DIVERGED"
    exit_status = 5


class PeerError(UserError):
    """Another process of the run is missing, stuck or gone."""

    default_code = "PEER-LOST"
    exit_status = 6


class MismatchError(PeerError):
    """The processes of a run do not have the same config, code, packages, data or devices."""

    default_code = "HOST-MISMATCH"
    exit_status = 2


class BusyError(UserError):
    """Another process is using the workdir."""

    default_code = "WORKDIR-BUSY"
    exit_status = 7


class StorageError(UserError):
    """A folder cannot be written."""

    default_code = "STORAGE"
    exit_status = 8


class LimitError(UserError):
    """The system lets this process have no more of something, such as threads."""

    default_code = "LIMIT"
    exit_status = 8


class OutOfMemoryError(UserError):
    """A device or the host has too little memory for the work.

    Args:
      message: what was expected and what came.
      do: one thing to do about it.
      code: stable code; None is the default of the class.
      work: what ran out of memory: "training", "evaluation" or "observation"; empty where it is none of these.
    """

    default_code = "DEVICE-OOM"
    exit_status = 8

    def __init__(self, message: str, *, do: str = "", code: str | None = None, work: str = ""):
        super().__init__(message, do=do, code=code)
        self.work = work


def is_out_of_memory(error: BaseException) -> bool:
    """Returns whether an error of Python or of JAX says that there is too little memory.

    JAX's errors have a status and no type of their own; a message that is too long for a network has the same one.
    """
    if isinstance(error, MemoryError):
        return True
    text = str(error).lower()
    return type(error).__name__ == "JaxRuntimeError" and "resource_exhausted" in text and "memory" in text


def memory_error(error: BaseException, what: str, *, do: str, work: str = "") -> OutOfMemoryError:
    """Builds the error of work that ran out of memory.

    Args:
      error: what Python or JAX raised; of its text the first line is shown.
      what: what could not be done.
      do: what to do about it.
      work: as in `OutOfMemoryError`.
    """
    summary = (str(error).strip().splitlines() or [type(error).__name__])[0].removeprefix("RESOURCE_EXHAUSTED: ")[:300]
    code = "OOM" if isinstance(error, MemoryError) else None
    return OutOfMemoryError(f"{what} ran out of memory: {summary}", do=do, code=code, work=work)


def is_out_of_threads(error: BaseException) -> bool:
    """Returns whether an error of Python says that the system allows no more threads."""
    return isinstance(error, RuntimeError) and _NO_THREAD in str(error)


def storage_error(error: BaseException, what: str, *, after: str = "") -> StorageError:
    """Builds the error of a disk that failed or is full.

    Args:
      error: what the system or a library raised; of its text the first line is shown.
      what: what could not be done.
      after: what to add.
    """
    causes = (error, error.__cause__)
    is_full = any(isinstance(cause, OSError) and cause.errno in _FULL for cause in causes)
    text = str(error).strip()
    reason = isinstance(error, OSError) and error.strerror
    limits = [f"raise {limit}" for sign, limit in _RAISE.items() if sign in (reason or text)]
    summary = reason or f"{type(error).__name__}: {(text.splitlines() or [''])[0][:300]}"
    return StorageError(
        f"{what}: {summary}{after}",
        code="STORAGE-FULL" if is_full or "No space left" in text else "STORAGE",
        do=f"{limits[0] if limits else 'free or repair the storage'}, then run the same command to resume",
    )
