"""Arrays are read back, and what claims too much, or is something else, is refused before memory is taken for it."""

import io
import os
import tracemalloc
import zipfile

import numpy as np
import pytest

from gauss_vit.errors import DataError
from gauss_vit.inspect import npz_file
from gauss_vit.inspect.npz_file import read_npz
from gauss_vit.inspect.result_files import write_arrays


def test_arrays_are_read_back(tmp_path):
    write_arrays(tmp_path / "x.npz", {"erf": np.eye(2), "num_images": np.array(3)})
    found = read_npz(tmp_path / "x.npz")
    np.testing.assert_array_equal(found["erf"], np.eye(2))
    assert sorted(found) == ["erf", "num_images"] and found["num_images"] == 3


def damaged_bytes(tmp_path, *, kind):
    if kind == "array":
        np.save(tmp_path / "x.npy", np.eye(2))
        return (tmp_path / "x.npy").read_bytes()
    write_arrays(tmp_path / "whole.npz", {"erf": np.random.default_rng(0).normal(size=(32, 32))})
    whole = bytearray((tmp_path / "whole.npz").read_bytes())
    whole[200:300] = bytes(100)
    return {"torn": bytes(whole[:200]), "flipped": bytes(whole), "text": b"text", "empty": b""}[kind]


@pytest.mark.parametrize("kind", ["torn", "flipped", "text", "empty", "array"])
def test_damaged_arrays_are_an_error_with_their_path(tmp_path, kind):
    path = tmp_path / "x.npz"
    path.write_bytes(damaged_bytes(tmp_path, kind=kind))
    with pytest.raises(DataError, match=r"x\.npz cannot be read"):
        read_npz(path)


def npz(*members: tuple[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


def header(shape: str, *, descr: str = "'<f8'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def zeros(num_bytes: int) -> bytes:
    return header(f"({num_bytes},)", descr="'|u1'") + bytes(num_bytes)


HOSTILE = {
    "bomb": ([("a.npy", zeros(2**20))], "expands to 1,048,"),
    "many small bombs": ([(f"{index}.npy", zeros(2000)) for index in range(80)], "expands to "),
    "4 TiB claimed": ([("a.npy", header("(549755813888,)") + bytes(80))], "needs 4,398,046,51"),
    "many entries": ([(f"{index}.npy", b"") for index in range(1000)], "its directory takes 5"),
    "negative": ([("a.npy", header("(-1, -8)") + bytes(64))], "shape"),
    "objects": ([("a.npy", header("(1,)", descr="'|O'") + b"cos")], "holds object of shape"),
    "nothing 10^15 times": ([("a.npy", header("(1000000000000000,)", descr="'<U0'"))], "holds <U0 of shape"),
    "fields": ([("a.npy", header("(1,)", descr="[('x', '<f8')]") + bytes(8))], "not numbers"),
    "longer than it says": ([("a.npy", header("(1,)") + bytes(64))], "needs .* bytes and has"),
    "code": ([("a.npy", header("__import__('os').abort()"))], "malformed"),
    "unclosed": ([("a.npy", header("((((1,"))], ""),
    "no array": ([("a.txt", b"text")], "is not an array"),
    "path": ([("../../a", b"text")], "is not an array"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_claims_are_checked_before_memory_is_taken(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(npz_file, "_LARGEST_EXPANSION", 10_000)
    monkeypatch.setattr(npz_file, "_LONGEST_READ", 50_000)
    members, message = HOSTILE[kind]
    (tmp_path / "x.npz").write_bytes(npz(*members))
    tracemalloc.start()
    with pytest.raises(DataError, match=rf"x\.npz cannot be read: .*{message}"):
        read_npz(tmp_path / "x.npz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_limits_leave_room_for_results_and_none_for_gigabytes(tmp_path, monkeypatch):
    assert (npz_file._LARGEST_EXPANSION, npz_file._LONGEST_READ) == (512 * 2**20, 2**20)
    monkeypatch.setattr(npz_file, "_LARGEST_EXPANSION", 1000)
    np.savez(tmp_path / "x.npz", a=np.zeros(4000))
    assert read_npz(tmp_path / "x.npz")["a"].shape == (4000,), "not compressed"
    np.savez_compressed(tmp_path / "x.npz", a=np.zeros(4000))
    with pytest.raises(DataError, match="expands to"):
        read_npz(tmp_path / "x.npz")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.npz")
    with pytest.raises(DataError, match="not a regular file"):
        read_npz(tmp_path / "x.npz")
