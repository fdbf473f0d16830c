"""Folders of images: torchvision's order, stable names, and a clear refusal of everything that is no such folder."""

import json
import os
import shutil
import socket
from pathlib import Path

import pytest

from gauss_vit.data.examples import Source
from gauss_vit.data.sources.folders import open_folder
from gauss_vit.errors import DataError
from tests.data.sources.folder_samples import make_folder

ORACLE = json.loads(Path(__file__).with_name("image_folder.json").read_text())


@pytest.fixture
def root(tmp_path):
    """Two classes with 2 and 3 images."""
    return make_folder(tmp_path / "birds", {"wren": 3, "crow": 2})


@pytest.fixture
def divided(tmp_path):
    """The same classes in three splits."""
    return make_folder(
        tmp_path / "divided", {"train/wren": 3, "train/crow": 2, "val/wren": 1, "test/crow": 1, "test/wren": 2}
    )


def refused(root, split="all", **settings):
    """The error that opening ends in."""
    with pytest.raises(DataError) as caught:
        open_folder(root, split, **settings)
    return caught.value


def test_order_and_labels_are_those_of_torchvision(tmp_path):
    for name in ORACLE["names"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    source = open_folder(tmp_path, "all")
    assert list(source.files) == ORACLE["files"]
    assert list(source.class_names) == ORACLE["classes"]
    examples = [source[index] for index in range(len(source))]
    assert [example.targets.label for example in examples] == ORACLE["labels"]
    assert [example.image.decode() for example in examples] == ORACLE["files"]
    assert source.num_ignored == 1


def test_a_folder_is_a_source_that_names_file_and_index(root):
    source = open_folder(root, "all")
    assert isinstance(source, Source)
    assert (len(source), source.num_classes, source.class_names) == (5, 2, ("crow", "wren"))
    assert source[3].name == f"{root}/wren/001.png (index 3)"
    with pytest.raises(IndexError):
        source[5]


def test_the_text_of_a_source_depends_on_its_files_and_not_on_its_place(root, tmp_path):
    before = repr(open_folder(root, "all"))
    moved = shutil.copytree(root, tmp_path / "elsewhere")
    assert repr(open_folder(moved, "all")) == before
    (moved / "wren" / "000.png").rename(moved / "wren" / "0000.png")
    assert repr(open_folder(moved, "all")) != before


def test_splits_are_folders_and_share_the_classes_of_training(divided):
    sources = {split: open_folder(divided, split) for split in ("train", "validation", "test")}
    assert {split: len(source) for split, source in sources.items()} == {"train": 5, "validation": 1, "test": 3}
    assert {source.class_names for source in sources.values()} == {("crow", "wren")}
    assert sources["validation"][0].targets.label == 1


def test_hidden_and_other_files_are_ignored_with_a_count(root):
    for name in (".DS_Store", "._000.jpg", "Thumbs.db", "readme.txt"):
        (root / "crow" / name).write_bytes(b"junk")
    (root / ".cache").mkdir()
    source = open_folder(root, "all")
    assert (len(source), source.num_ignored) == (5, 4)


def test_labels_json_names_classes_in_the_order_of_their_folders(root):
    (root / "labels.json").write_text('{"wren": "Troglodytes", "crow": "Corvus"}')
    assert open_folder(root, "all").class_names == ("Corvus", "Troglodytes")


@pytest.mark.parametrize("content", ['["wren", "crow"]', '[["wren", "wren"], "crow"]'])
def test_labels_json_as_an_array_sets_the_order(root, content):
    (root / "labels.json").write_text(content)
    source = open_folder(root, "all")
    assert source.class_names == ("wren", "crow")
    assert [source[index].targets.label for index in range(5)] == [0, 0, 0, 1, 1]
    assert source.files[0] == "wren/000.png"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('["wren"]', "does not name crow"),
        ('["wren", "crow", "owl"]', "names classes without a folder: owl"),
        ('["wren", "crow", "wren"]', "names twice wren"),
        ('{"wren": "a", "crow": "b", "wren": "c"}', "names twice wren"),
        ('{"wren": 1, "crow": 2}', "is neither an object of names nor"),
        ("3", "is neither an object of names nor"),
        ("{", "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
    ],
)
def test_a_labels_json_that_does_not_fit_is_an_error(root, content, message):
    (root / "labels.json").write_text(content)
    error = refused(root)
    assert f"labels.json {message}" in error.message
    assert error.code == "DATA-LABEL"


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_labels_json_in_a_split_folder_is_refused_with_its_place(divided, split):
    (divided / "train" / "labels.json").write_text('["wren", "crow"]')
    error = refused(divided, split)
    assert error.message.startswith(f"{divided}/train/labels.json is not read")
    assert (error.do, error.code) == (f"move it to {divided}/labels.json", "DATA-LABEL")
    shutil.copy(divided / "train" / "labels.json", divided / "labels.json")
    assert refused(divided, split).do == f"remove it: {divided}/labels.json is read"
    (divided / "train" / "labels.json").unlink()
    assert open_folder(divided, split).class_names == ("wren", "crow")


def test_a_missing_folder_an_empty_one_and_one_without_classes_are_errors(tmp_path):
    assert "cannot be listed: No such file" in refused(tmp_path / "none").message
    (tmp_path / "a.tif").touch()
    error = refused(tmp_path)
    assert "no images under" in error.message
    assert "Found: a.tif" in error.message
    assert error.code == "DATA-EMPTY"


def test_a_class_without_images_is_an_error(root):
    (root / "owl").mkdir()
    (root / "owl" / "x.tif").touch()
    assert f"no images under {root}/owl (looked for .jpg" in refused(root).message
    assert "Found: x.tif" in refused(root).message


def test_a_class_that_training_does_not_have_is_an_error(divided):
    make_folder(divided, {"val/owl": 1})
    error = refused(divided, "validation")
    assert f"{divided}/val/owl is a class that {divided}/train does not have" in error.message


def plant(kind, path):
    """Puts something that is no file in the place of an image."""
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as endpoint:
            endpoint.bind(os.path.relpath(path))
    else:
        path.symlink_to({"dangling": "nothing.jpg", "loop": path.name}[kind])


@pytest.mark.parametrize("kind", ["pipe", "folder", "socket", "dangling", "loop"])
def test_what_has_an_images_name_and_is_no_file_is_an_error(root, kind, monkeypatch):
    monkeypatch.chdir(root)
    plant(kind, root / "crow" / "p.jpg")
    assert "crow/p.jpg: not a regular file" in refused(root).message


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside.jpg"])
def test_links_out_of_the_root_need_leave(root, target):
    (root.parent / "outside.jpg").write_bytes(b"image")
    (root / "crow" / "x.jpg").symlink_to(target)
    assert "data.follow_links" in refused(root).do
    assert len(open_folder(root, "all", follow_links=True)) == 6


def test_a_class_may_be_a_link_where_links_are_followed(root, tmp_path):
    make_folder(tmp_path / "more", {"owl": 2})
    (root / "owl").symlink_to(tmp_path / "more" / "owl")
    assert "data.follow_links" in refused(root).do
    assert open_folder(root, "all", follow_links=True).class_names == ("crow", "owl", "wren")


def test_a_split_folder_may_be_a_link_where_links_are_followed(divided, tmp_path):
    (divided / "val").rename(tmp_path / "elsewhere")
    (divided / "val").symlink_to(tmp_path / "elsewhere")
    error = refused(divided, "validation")
    assert error.message == f"{divided}/val leads out of the data folder, to {tmp_path}/elsewhere"
    assert "data.follow_links" in error.do
    assert len(open_folder(divided, "validation", follow_links=True)) == 1
    (divided / "val").unlink()
    (divided / "val").symlink_to("test")
    assert len(open_folder(divided, "validation")) == 3


@pytest.mark.parametrize("follow_links", [False, True])
def test_links_between_folders_never_go_round(root, follow_links):
    (root / "crow" / "back").symlink_to("../crow")
    assert "leads back" in refused(root, follow_links=follow_links).message


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_a_file_in_two_classes_is_an_error(root, link):
    link(root / "crow" / "000.png", root / "wren" / "copy.png")
    error = refused(root)
    assert "one file is in two classes: crow/000.png and wren/copy.png" in error.message
    assert error.code == "DATA-LABEL"


def test_a_file_twice_in_one_class_is_no_error(root):
    (root / "crow" / "copy.png").hardlink_to(root / "crow" / "000.png")
    assert len(open_folder(root, "all")) == 6


def test_a_file_that_vanishes_is_named_and_so_is_a_folder_that_does(root):
    source = open_folder(root, "all")
    (root / "crow" / "000.png").unlink()
    with pytest.raises(DataError, match=r"crow/000.png: No such file") as caught:
        source[0]
    assert caught.value.code == "DATA-DECODE"
    root.rename(root.with_name("unmounted"))
    with pytest.raises(DataError, match=r"has disappeared while 001\.png") as caught:
        source[1]
    assert caught.value.code == "DATA-GONE"


def test_a_read_only_folder_is_read(root):
    folders = [root, *root.iterdir()]
    for folder in folders:
        folder.chmod(0o555)
    try:
        source = open_folder(root, "all")
        assert source[0].image.startswith(b"\x89PNG")
    finally:
        for folder in folders:
            folder.chmod(0o755)
