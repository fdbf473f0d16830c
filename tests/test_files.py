"""A file is replaced whole or not at all."""

from pathlib import Path

import pytest

from gauss_vit.files import FileSet, replacing


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_file_has_the_new_content_and_nothing_is_left_beside_it(tmp_path: Path):
    (tmp_path / "a.v1.json").write_text("old")
    with replacing(tmp_path / "a.v1.json") as temporary:
        temporary.write_text("new")
        assert (tmp_path / "a.v1.json").read_text() == "old"
    assert (tmp_path / "a.v1.json").read_text() == "new"
    assert names(tmp_path) == ["a.v1.json"]


def test_a_failure_leaves_the_old_file_alone(tmp_path: Path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "a") as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_a_folder_in_the_way_is_an_error(tmp_path: Path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    with pytest.raises(OSError, match="a"), replacing(tmp_path / "a") as temporary:
        temporary.write_text("new")
    assert names(tmp_path) == ["a"]


def test_a_set_of_files_depends_on_every_name_and_size():
    files = [("a", 12), ("b", 3)]
    whole = FileSet.of(files)
    assert (whole.num_files, whole.num_bytes, len(whole.digest)) == (2, 15, 16)
    for other in ([("a", 12)], [("b", 3), ("a", 12)], [("a", 3), ("b", 12)], [("a1", 2), ("b", 13)], []):
        assert FileSet.of(other) != whole
    assert FileSet.of(iter(files)) == whole
