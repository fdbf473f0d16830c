"""Result files: whole, readable, or an error that says what to do."""

import json

import numpy as np
import pytest

from gauss_vit.errors import StorageError
from gauss_vit.inspect.result_files import write_arrays, write_figures, write_record, write_text
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
    # Not every verb that writes results has --out.
    assert "choose a folder" in caught.value.do and "--out" not in caught.value.do


def test_undecodable_bytes_of_a_name_are_written_escaped(tmp_path):
    write_text(tmp_path / "x.csv", "caf\udce9,猫\n")
    assert (tmp_path / "x.csv").read_text() == "caf\\udce9,猫\n"
