"""Layouts of folders of images: what is understood, and remedies that work as they are typed."""

import shutil
import subprocess

import pytest

from gauss_vit.data.config import Data
from gauss_vit.data.images.transforms import ResizeCenterCrop
from gauss_vit.data.sources import folders, splits
from gauss_vit.data.sources.folder_layout import split_folders
from gauss_vit.data.sources.folders import open_folder
from gauss_vit.errors import DataError
from gauss_vit.ops.pixel_normalization import Normalization
from tests.data.sources.folder_samples import make_folder


def refused(root, split="train"):
    """The error that opening ends in."""
    with pytest.raises(DataError) as caught:
        open_folder(root, split)
    return caught.value


def data(root, **settings):
    """The data section for a folder."""
    given = {"train_split": "train", "eval_split": "validation", "train_transforms": (), "num_threads": 0} | settings
    colors = Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    return Data(name="folder", data_dir=str(root), eval_transform=ResizeCenterCrop(), normalization=colors, **given)


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [("train", "val", "test"), ("Train", "Valid", "TEST"), ("training", "validation", "testing")],
)
def test_splits_go_by_their_usual_names_in_any_case(tmp_path, train, validation, test):
    make_folder(tmp_path, {f"{train}/a": 1, f"{train}/b": 2, f"{validation}/a": 2, f"{test}/b": 4})
    sizes = {split: len(open_folder(tmp_path, split)) for split in ("train", "validation", "test")}
    assert sizes == {"train": 3, "validation": 2, "test": 4}
    assert folders.open_data_set(data(tmp_path)).split_names() == ("train", "validation", "test")
    assert repr(open_folder(tmp_path, "val")) == repr(open_folder(tmp_path, "validation"))


def test_two_folders_for_one_split_are_refused(tmp_path):
    make_folder(tmp_path, {"train/a": 1, "val/a": 1, "Validation/a": 1})
    assert refused(tmp_path).message == f"{tmp_path} has two folders for the split validation: Validation, val"


def test_a_class_may_be_called_train(tmp_path):
    make_folder(tmp_path, {"car": 1, "train": 1, "truck": 1})
    assert split_folders(tmp_path) == {}
    assert open_folder(tmp_path, "all").class_names == ("car", "train", "truck")


def test_folders_beside_one_split_are_not_classes(tmp_path):
    make_folder(tmp_path, {"train/cat": 1, "train/dog": 1})
    (tmp_path / "annotations").mkdir()
    assert open_folder(tmp_path, "train").class_names == ("cat", "dog")


@pytest.mark.parametrize(
    "junk", ["__MACOSX", "@eaDir", "lost+found", ".ipynb_checkpoints", "$RECYCLE.BIN", "System Volume Information"]
)
def test_folders_of_archives_and_file_systems_are_neither_classes_nor_in_them(tmp_path, junk):
    make_folder(tmp_path, {"cat": 1, "dog": 2, junk: 1, f"cat/{junk}": 3})
    source = open_folder(tmp_path, "all")
    assert (source.class_names, len(source)) == (("cat", "dog"), 3)
    shutil.rmtree(tmp_path / "dog")
    make_folder(tmp_path, {"train/cat": 1})
    shutil.rmtree(tmp_path / "cat")
    assert list(split_folders(tmp_path)) == ["train"], "nothing else is there"


def test_classes_without_splits_can_be_split_at_random_as_the_message_says(tmp_path):
    make_folder(tmp_path, {"wren": 10, "crow": 10})
    error = refused(tmp_path)
    assert error.message == f"{tmp_path} has no split train: its folders are classes, crow, wren"
    assert error.do == (
        f"add --config.data.split_protocol=paper to split it at random, or move the classes into {tmp_path}/train and"
        f" {tmp_path}/val"
    )
    paper = data(tmp_path, split_protocol="paper")
    assert [len(splits.open_split(paper, split)) for split in ("train", "validation")] == [14, 3]


def test_a_single_split_can_be_split_at_random_as_the_message_says(tmp_path):
    make_folder(tmp_path, {"train/wren": 10, "train/crow": 10})
    error = refused(tmp_path, "validation")
    assert error.message == f"{tmp_path} has no split validation: it has train only"
    assert error.do.startswith("add --config.data.split_protocol=paper ")
    assert error.do.endswith(f" or add a folder {tmp_path}/val")
    paper = data(tmp_path, split_protocol="paper")
    assert [len(splits.open_split(paper, split)) for split in ("train", "validation")] == [14, 3]


def test_divided_folders_are_not_divided_once_more(tmp_path):
    make_folder(tmp_path, {"train/a": 1, "val/a": 1})
    with pytest.raises(DataError, match=r"already divided, into train, val"):
        splits.open_split(data(tmp_path, split_protocol="paper"), "train")


def test_a_split_that_is_not_there_names_those_that_are(tmp_path):
    make_folder(tmp_path, {"train/a": 1, "val/a": 1})
    error = refused(tmp_path, "test")
    assert (error.message, error.do) == (
        f"{tmp_path} has no split test: it has train, validation",
        "use one of train, validation",
    )


@pytest.mark.parametrize("mark", [".", "_", "-"])
def test_images_with_their_class_in_the_name_come_with_a_command_that_sorts_them(tmp_path, mark):
    root = make_folder(tmp_path / "my pets", {"flat/train": 2})
    train = root / "flat" / "train"
    for index, path in enumerate(sorted(train.iterdir())):
        path.rename(train / f"red_fox{mark}{index}.png")
        shutil.copy(train / f"red_fox{mark}{index}.png", train / f"dog{mark}{index}.PNG")
    error = refused(root / "flat")
    assert error.message.startswith(f"the images of {train} are not in folders of classes: dog{mark}0.PNG, dog{mark}1.")
    subprocess.run(["bash", "-c", error.do.removeprefix("sort them by their names: ")], check=True)
    source = open_folder(root / "flat", "train")
    assert (source.class_names, len(source)) == (("dog", "red_fox"), 4)


@pytest.mark.parametrize("settings", [{}, {"split_protocol": "paper"}, {"train_split": "all"}])
def test_a_split_beside_other_folders_is_no_class_where_its_images_carry_theirs(tmp_path, settings):
    make_folder(tmp_path, {"train": 14, "test1": 3})
    for index, path in enumerate(sorted((tmp_path / "train").iterdir())):
        path.rename(tmp_path / "train" / f"{('cat', 'dog')[index % 2]}.{index}.png")
    given = data(tmp_path, **settings)
    with pytest.raises(DataError, match=r"train are not in folders of classes: cat\.0\.png") as caught:
        splits.open_split(given, given.train_split)
    subprocess.run(["bash", "-c", caught.value.do.removeprefix("sort them by their names: ")], check=True)
    whole = splits.open_split(data(tmp_path), "train")
    assert (whole.class_names, len(whole)) == (("cat", "dog"), 14)
    assert len(splits.open_split(data(tmp_path, split_protocol="paper"), "validation")) == 2


def test_a_class_called_train_may_have_images_of_its_own_name(tmp_path):
    make_folder(tmp_path, {"car": 1, "train": 2, "truck": 1})
    for path in sorted((tmp_path / "train").iterdir()):
        path.rename(path.with_name(f"train_{path.name}"))
    assert open_folder(tmp_path, "all").class_names == ("car", "train", "truck")


def test_images_without_a_class_are_said_to_have_none(tmp_path):
    make_folder(tmp_path, {"train": 3})
    error = refused(tmp_path)
    assert error.message == f"the images of {tmp_path}/train are not in folders of classes: 000.png, 001.png, ..."
    assert error.do == f"put them into one folder for each class: {tmp_path}/train/CLASS/*.jpg"


@pytest.mark.parametrize("inside", [{"birds/train/a": 1, "birds/val/a": 1}, {"birds/a": 1, "birds/b": 1}])
def test_a_folder_around_the_folder_is_explained(tmp_path, inside):
    make_folder(tmp_path, inside)
    error = refused(tmp_path)
    shown = ", ".join(sorted({name.split("/")[1] for name in inside}))
    assert error.message == f"{tmp_path} has only the folder birds, which has {shown}"
    assert error.do == f"add --config.data.data_dir={tmp_path}/birds"


def test_a_folder_that_is_not_named_is_asked_for_with_an_example():
    with pytest.raises(DataError) as caught:
        splits.open_split(data("~/tensorflow_datasets"), "train")
    assert caught.value.message == "data.name=folder reads a folder of images, and data.data_dir does not say which"
    assert caught.value.do.startswith("add --config.data.data_dir=birds, for example, with birds/train/CLASS/*.jpg")
