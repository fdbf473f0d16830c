"""Errors that a user can cause carry a code, a status and a remedy."""

import errno
import os

import pytest
from jax.errors import JaxRuntimeError

from gauss_vit import errors
from gauss_vit.errors import storage_error


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (errors.ConfigError, 2),
        (errors.ArrayError, 2),
        (errors.DataError, 3),
        (errors.CheckpointError, 4),
        (errors.DivergedError, 5),
        (errors.PeerError, 6),
        (errors.MismatchError, 2),
        (errors.BusyError, 7),
        (errors.StorageError, 8),
        (errors.OutOfMemoryError, 8),
        (errors.LimitError, 8),
    ],
)
def test_every_kind_has_its_exit_status_and_is_a_value_error(kind, status):
    error = kind("what happened", do="this")
    assert isinstance(error, ValueError)
    assert error.exit_status == status
    assert error.code == kind.default_code
    assert str(error) == "what happened DO: this"


def test_a_code_can_be_more_precise():
    assert errors.DataError("gone", code="DATA-TFDS").code == "DATA-TFDS"
    assert str(errors.DataError("gone")) == "gone"


def test_full_disk_is_told_wherever_it_is_said():
    long = ValueError(f"RESOURCE_EXHAUSTED: {'x' * 400} [No space left on device]\nsecond line")
    error = storage_error(long, "saving checkpoint 7 failed", after="; 6 is intact")
    assert (error.code, error.exit_status) == ("STORAGE-FULL", 8)
    assert str(error).startswith("saving checkpoint 7 failed: ValueError: RESOURCE_EXHAUSTED: xx")
    assert "xx; 6 is intact" in error.message
    assert "second line" not in error.message
    assert storage_error(OSError(errno.EDQUOT, "Quota"), "a").code == "STORAGE-FULL"
    assert storage_error(OSError(errno.EIO, "I/O"), "a").code == "STORAGE"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 12 bytes."), True),
        (JaxRuntimeError("RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 20.1G of 15.7G hbm."), True),
        (JaxRuntimeError("RESOURCE_EXHAUSTED: CLIENT: Received message larger than max (5 vs. 4)"), False),
        (JaxRuntimeError("INTERNAL: no memory of this"), False),
        (ValueError("RESOURCE_EXHAUSTED: out of memory"), False),
    ],
)
def test_lack_of_memory_is_told_by_type_and_words(error, expected):
    assert errors.is_out_of_memory(error) == expected


def test_lack_of_memory_is_one_line_with_the_code_of_its_kind():
    raised = JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 12 bytes.\nBufferAssignment: ...")
    error = errors.memory_error(raised, "training", do="less", work="training")
    assert (error.message, error.code) == (
        "training ran out of memory: Out of memory allocating 12 bytes.",
        "DEVICE-OOM",
    )
    assert errors.memory_error(MemoryError(), "training", do="less").code == "OOM"


@pytest.mark.parametrize(
    ("error", "limit"),
    [
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "ulimit -n"),
        (ValueError("x: Too many open files"), "ulimit -n"),
        (RuntimeError("can't start new thread"), "ulimit -u"),
    ],
)
def test_limits_of_the_system_are_not_blamed_on_the_storage(error: Exception, limit: str):
    assert storage_error(error, "a").do.startswith(f"raise {limit}, then")
