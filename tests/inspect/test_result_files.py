"""Result files: whole, readable, or an error that says what to do."""

import json

import numpy as np
import pytest

from gauss_vit.errors import DataError, StorageError
from gauss_vit.inspect.result_files import read_arrays, write_arrays, write_figures, write_record
from gauss_vit.plots.canvas import blank_figure


def test_files_are_written_into_new_folders_and_nothing_else_is_left(tmp_path):
    folder = tmp_path / "a" / "b"
    write_record(folder / "x.json", {"one": 1, "none": None})
    write_arrays(folder / "x.npz", {"erf": np.eye(2)})
    write_figures(folder / "x", blank_figure(1.0, 1.0))
    assert sorted(path.name for path in folder.iterdir()) == ["x.json", "x.npz", "x.pdf", "x.png"]
    assert json.loads((folder / "x.json").read_text()) == {"one": 1, "none": None}
    with np.load(folder / "x.npz", allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["erf"], np.eye(2))


def test_a_file_is_replaced(tmp_path):
    write_record(tmp_path / "x.json", {"a": 1})
    write_record(tmp_path / "x.json", {"a": 2})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": 2}


def test_json_holds_no_numbers_that_json_does_not_know(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_record(tmp_path / "x.json", {"a": float("nan")})


def test_a_folder_that_cannot_be_made_is_an_error_with_its_path(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot write .*file/x\.json") as caught:
        write_record(tmp_path / "file" / "x.json", {})
    assert "--out" in caught.value.do


def test_arrays_are_read_back(tmp_path):
    write_arrays(tmp_path / "x.npz", {"erf": np.eye(2), "num_images": np.array(3)})
    found = read_arrays(tmp_path / "x.npz")
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
        read_arrays(path)
