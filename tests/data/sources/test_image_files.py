"""Images that are named: files, folders and patterns, each file once and in a fixed order."""

import os
from pathlib import Path

import pytest
from PIL import Image

from gauss_vit.data.sources.image_files import FileSource, find_images
from gauss_vit.errors import DataError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images in nested, hidden and empty folders, and other files."""
    for name in ("b.JPG", "a.png", "sub/c.webp", ".hidden/d.png", ".e.png", "notes.txt", "photo", "empty/.keep"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    Image.new("RGB", (3, 2), "red").save(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("names", "expected", "num_repeated", "num_ignored"),
    [
        (["a.png"], ["a.png"], 0, 0),
        (["photo"], ["photo"], 0, 0),
        (["."], ["a.png", "b.JPG", "sub/c.webp"], 0, 2),
        (["*"], ["a.png", "b.JPG", "sub/c.webp"], 0, 2),
        (["**/*.webp", "b.*"], ["sub/c.webp", "b.JPG"], 0, 0),
        (["**"], ["a.png", "b.JPG", "sub/c.webp"], 0, 2),
        (["sub", "./sub/c.webp", "a.png"], ["sub/c.webp", "a.png"], 1, 0),
    ],
)
def test_names_stand_for_images(names: list, expected: list, num_repeated: int, num_ignored: int):
    found = find_images(names)
    assert [str(path) for path in found.paths] == expected
    assert (found.num_repeated, found.num_ignored) == (num_repeated, num_ignored)


def test_link_to_a_file_is_that_file(folder: Path):
    (folder / "link.png").symlink_to("a.png")
    found = find_images(["link.png", "a.png"])
    assert (found.paths, found.num_repeated) == ((Path("link.png"),), 1)


def test_file_whose_name_is_a_pattern_is_itself(folder: Path):
    (folder / "[ab].png").touch()
    assert find_images(["[ab].png"]).paths == (Path("[ab].png"),)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("c.png", "c.png does not exist DO: did you mean a.png?"),
        ("nowhere/x.jpg", "nowhere/x.jpg does not exist DO: correct the path"),
        ("empty", "found nothing"),
        ("*.txt", "found 1 other files"),
        ("*.gif", "*.gif: no images"),
    ],
)
def test_name_of_no_image_is_refused(name: str, message: str):
    with pytest.raises(DataError) as caught:
        find_images([name])
    assert caught.value.code == "DATA-EMPTY" and message in str(caught.value)


def test_folder_that_cannot_be_listed_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def walk(top, onerror):
        onerror(PermissionError(13, "Permission denied", os.fspath(top)))
        return iter(())

    monkeypatch.setattr(os, "walk", walk)
    with pytest.raises(DataError, match="sub cannot be listed: Permission denied"):
        find_images(["sub"])


def test_source_reads_the_files():
    source = FileSource(paths=(Path("a.png"),))
    assert (len(source), source[0].name, source[0].targets) == (1, "a.png", ())
    assert source[0].image == Path("a.png").read_bytes()
    assert source.file_set().num_bytes == Path("a.png").stat().st_size
