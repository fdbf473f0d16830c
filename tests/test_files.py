"""A file is replaced whole or not at all, and never written through a link."""

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from gauss_vit import files
from gauss_vit.files import (
    FileSet,
    append_bytes,
    append_text,
    open_regular,
    read_bytes,
    read_json,
    read_lines,
    replacing,
)


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


def test_a_temporary_file_that_was_left_is_removed_and_not_written_through(tmp_path: Path):
    (tmp_path / "mine").write_text("kept")
    for name in (".a.0.new", ".a.1.new", ".b.0.new"):
        (tmp_path / name).symlink_to("mine")
        if name != ".a.1.new":
            os.utime(tmp_path / name, (0, 0), follow_symlinks=False)
    with replacing(tmp_path / "a") as temporary:
        temporary.write_text("new")
    assert ((tmp_path / "a").read_text(), (tmp_path / "mine").read_text()) == ("new", "kept")
    assert names(tmp_path) == [".a.1.new", ".b.0.new", "a", "mine"]


def test_a_file_may_be_replaced_by_several_at_once(tmp_path: Path):
    with replacing(tmp_path / "a") as first:
        with replacing(tmp_path / "a") as second:
            second.write_text("second")
        first.write_text("first")
    assert (tmp_path / "a").read_text() == "first"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("append", [append_text, append_bytes])
def test_nothing_is_appended_through_a_link(tmp_path: Path, append: Callable[[Path], IO]):
    (tmp_path / "mine").write_text("kept")
    for number, target in enumerate(("mine", "missing")):
        (tmp_path / f"link{number}").symlink_to(target)
        with pytest.raises(OSError, match="it is a link"):
            append(tmp_path / f"link{number}")
    assert ((tmp_path / "mine").read_text(), (tmp_path / "missing").exists()) == ("kept", False)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        append_bytes(tmp_path / "pipe")


@pytest.mark.parametrize(("umask", "mode"), [(0o000, 0o644), (0o002, 0o644), (0o077, 0o600)])
def test_nobody_but_the_owner_may_write_whatever_the_umask(tmp_path: Path, umask: int, mode: int):
    before = os.umask(umask)
    try:
        append_text(tmp_path / "log").close()
        with replacing(tmp_path / "record") as temporary:
            temporary.write_text("new")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {mode}


def test_a_tree_is_synced_from_its_leaves_to_its_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_text("x")
    synced = []
    monkeypatch.setattr(files, "_sync", synced.append)
    files.sync_tree(tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in synced] == ["a/b/file", "a/b", "a", "."]


@pytest.mark.parametrize("name", ["missing", "folder"])
def test_what_cannot_be_synced_is_an_error(tmp_path: Path, name: str):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to("nowhere")
    with pytest.raises(OSError, match=name):
        files.sync_tree(tmp_path / name)


def test_a_folder_is_made_with_its_parents_and_each_entry_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    synced = []
    monkeypatch.setattr(files, "_sync", synced.append)
    for _ in range(2):
        files.make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    assert synced == [tmp_path, tmp_path / "a"]


def test_json_above_the_limit_is_refused_before_it_is_read(tmp_path: Path):
    with (tmp_path / "labels.json").open("wb") as file:
        file.truncate(3 * 10**9)
    tracemalloc.start()
    with pytest.raises(OSError, match="larger than the limit of 16,777,216 bytes"):
        read_json(tmp_path / "labels.json")
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_a_file_that_has_no_size_is_read_up_to_the_limit():
    assert read_bytes(Path("/proc/self/status"), limit=100_000).startswith(b"Name:")
    with pytest.raises(OSError, match="limit of 10 bytes"):
        read_bytes(Path("/proc/self/status"), limit=10)


def test_what_is_read_is_a_regular_file(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    for read in (read_json, lambda path: read_bytes(path, limit=9), lambda path: list(read_lines(path)), open_regular):
        for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
            with pytest.raises(OSError, match=r"not a regular file|directory"):
                read(path)


def test_json_that_is_nested_too_deeply_is_no_json(tmp_path: Path):
    (tmp_path / "a").write_text("[" * 100_000)
    with pytest.raises(ValueError, match="nested"):
        read_json(tmp_path / "a")


def test_lines_are_read_and_endless_ones_in_parts(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"one\n" + b"x" * 2_500_000 + b"\nlast\xff")
    first, *parts, last = read_lines(tmp_path / "a")
    assert (first, last, [len(part) for part in parts]) == ("one\n", "last\ufffd", [2**20, 2**20, 2_500_001 - 2**21])


def test_a_set_of_files_depends_on_every_name_and_size():
    files = [("a", 12), ("b", 3)]
    whole = FileSet.of(files)
    assert (whole.num_files, whole.num_bytes, len(whole.digest)) == (2, 15, 16)
    for other in ([("a", 12)], [("b", 3), ("a", 12)], [("a", 3), ("b", 12)], [("a1", 2), ("b", 13)], []):
        assert FileSet.of(other) != whole
    assert FileSet.of(iter(files)) == whole
