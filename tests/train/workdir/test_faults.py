"""Faults of the disk are errors of the user's storage; others stay what they are."""

import errno
from pathlib import Path

import pytest

from gauss_vit.errors import StorageError
from gauss_vit.train.workdir.faults import storage_faults


@pytest.mark.parametrize(
    ("number", "inside", "code"),
    [
        (errno.EIO, False, "STORAGE"),
        (errno.ENOSPC, False, "STORAGE-FULL"),
        (errno.EACCES, True, "STORAGE"),
        (errno.ENOENT, True, "STORAGE"),
    ],
)
def test_fault_of_the_storage_is_named(tmp_path: Path, number: int, inside: bool, code: str):
    path = tmp_path / "checkpoints" if inside else Path("/elsewhere")
    with pytest.raises(StorageError, match="cannot be read or written") as caught, storage_faults(tmp_path):
        raise OSError(number, "the reason", str(path))
    assert (caught.value.code, caught.value.exit_status) == (code, 8)


@pytest.mark.parametrize("error", [OSError("the data set is gone"), FileNotFoundError(2, "missing", "/elsewhere")])
def test_other_errors_pass(tmp_path: Path, error: OSError):
    with pytest.raises(type(error)), storage_faults(tmp_path):
        raise error
