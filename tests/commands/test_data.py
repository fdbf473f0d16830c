"""`data`: what is there, what is missing and how to get it; folders made into data sets."""

import dataclasses
import re

import pytest

from gauss_vit import main as program
from gauss_vit.data.inspection import inspect_split
from gauss_vit.data.prepare import drawn_shapes
from gauss_vit.data.sources import how_to_get
from tests.data import masks_config, objects_config
from tests.data.sources.coco_samples import make_coco
from tests.data.sources.folder_samples import make_folder
from tests.data.sources.mask_samples import make_mask_folder
from tests.tiny_config import get_config

CONFIG = "--config=tests/tiny_config.py"


def check(capsys, *arguments):
    """Status, standard output and standard error of `data check`."""
    status = program.main(["data", "check", CONFIG, *arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def as_folder(root, **settings):
    """The overrides that read a folder."""
    data = {"name": "folder", "data_dir": str(root), **settings}
    return [f"--config.data.{key}={value}" for key, value in data.items()]


def test_what_is_there_is_described(capsys, data_flag):
    status, out, err = check(capsys, data_flag)
    assert (status, "error" in err) == (0, False)
    assert "splits   train, test" in out
    assert "images, 10 classes; of 64 decoded: 64 PNG L; 32 x 32 px" in out


@pytest.mark.parametrize("name", ["imagenet2012", "cars196", "stanford_dogs", "my_birds"])
def test_what_is_missing_comes_with_one_remedy(capsys, tmp_path, name):
    status, out, err = check(capsys, f"--config.data.name={name}", f"--config.data.data_dir={tmp_path}")
    assert status == 3
    assert f"missing  data set {name} is not prepared" in out
    assert err.startswith("gauss_vit: error[DATA-TFDS]")
    assert err.endswith(f"DO: {how_to_get.remedy(name, str(tmp_path))}\n")


def test_a_misspelled_data_set_is_answered_by_its_name_and_no_recipe(capsys, tmp_path):
    status, _, err = check(capsys, "--config.data.name=cifar1000", f"--config.data.data_dir={tmp_path}")
    assert status == 3
    assert err == (
        f"gauss_vit: error[DATA-NAME]: there is no data set cifar1000, neither of TFDS nor in {tmp_path}; did you mean"
        " cifar100? DO: add --config.data.name=cifar100\n"
    )


def test_a_folder_is_checked_by_either_protocol(capsys, tmp_path):
    make_folder(tmp_path, {f"class{index}": 2 for index in range(10)})
    paper = as_folder(tmp_path, split_protocol="paper", eval_split="validation", train_split="train")
    status, out, _ = check(capsys, *paper)
    assert status == 0
    assert "splits   train, validation, test" in out
    assert "found    train: 14 images, 10 classes" in out
    status, out, err = check(capsys, *as_folder(tmp_path, train_split="train"))
    assert status == 3
    assert "splits   all" in out
    assert "its folders are classes" in out
    assert "data.split_protocol=paper" in err


def test_a_model_with_other_classes_is_refused(capsys, tmp_path):
    make_folder(tmp_path, {"train/a": 2, "val/a": 1})
    status, out, err = check(capsys, *as_folder(tmp_path, train_split="train", eval_split="validation"))
    assert status == 2
    assert "found    train: 2 images" in out
    assert "set task.head.num_classes to 1" in err


def test_a_damaged_image_of_the_sample_is_named(capsys, tmp_path):
    make_folder(tmp_path, {"train/a": 2, "val/a": 1})
    (tmp_path / "train" / "a" / "001.png").write_bytes(b"")
    status, out, err = check(capsys, *as_folder(tmp_path, train_split="train", eval_split="validation"))
    assert status == 3
    assert "wrong    train:" in out
    assert "001.png" in err
    assert "found    validation: 1 image, " in out


def test_a_report_counts_formats_and_sizes(tmp_path):
    make_folder(tmp_path, {"a": 3})
    data = dataclasses.replace(get_config().data, name="folder", data_dir=str(tmp_path))
    report = inspect_split(data, "all", num_samples=2)
    assert report.describe() == "all: 3 images, 1 class; of 2 decoded: 2 PNG RGB; 9 x 12 px"


def test_masks_are_described_and_every_faulty_file_is_named(capsys, tmp_path):
    root = make_mask_folder(tmp_path, {"train": 4, "val": 1})
    arguments = ["data", "check", masks_config.FLAG, f"--config.data.data_dir={root}"]
    assert program.main(arguments) == 0
    out = capsys.readouterr().out
    assert "found    train: 4 images, 3 classes; of 4 decoded: 4 JPEG RGB; 9 x 12 px" in out
    assert "masks    4 masks with 3 of 3 classes; 0.0 % of the pixels ignored\n" in out
    assert re.search(r"sky +\d+\.\d % +[#█]{30} +4\n", out)
    for index in (1, 2):
        (root / f"masks/train/{index:03d}.png").write_bytes(b"")
    assert program.main([*arguments, "--deep"]) == 3
    captured = capsys.readouterr()
    assert [f"damaged  {root}/masks/train/{index:03d}.png" in captured.out for index in range(4)] == [
        False,
        True,
        True,
        False,
    ]
    assert "masks    2 masks with 3 of 3 classes" in captured.out
    assert "error[DATA-DECODE]: 2 images of mask_folder" in captured.err


def test_objects_are_counted_and_every_wrong_size_is_named(capsys, tmp_path):
    root = make_coco(tmp_path)
    arguments = ["data", "check", objects_config.FLAG, f"--config.data.data_dir={root}"]
    assert program.main(arguments) == 0
    out = capsys.readouterr().out
    assert "found    train: 3 images, 3 classes; of 3 decoded: 3 PNG RGB; 64 x 64 to 60 x 80 px" in out
    assert "objects  instances_train2017.json: 3 images, 4 annotations of 3 classes, 1 of crowds" in out
    assert "objects  left out of training: images: 1 without annotations" in out
    (root / "train2017/000000000025.png").write_bytes((root / "train2017/000000000139.png").read_bytes())
    assert program.main([*arguments, "--deep"]) == 3
    captured = capsys.readouterr()
    assert "000000000025.png (image 25): the image is 60 x 80 px, its annotations are for 90 x 50 px" in captured.out
    assert "error[DATA-DECODE]: 1 image of coco" in captured.err


def test_masks_of_another_number_of_classes_are_refused(capsys, tmp_path):
    root = make_mask_folder(tmp_path, {"train": 1, "val": 1}, classes=("sky", "road"))
    assert program.main(["data", "check", masks_config.FLAG, f"--config.data.data_dir={root}"]) == 2
    assert "set task.head.num_classes to 2" in capsys.readouterr().err


def test_prepare_draws_shapes_that_check_finds(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(drawn_shapes, "NUM_IMAGES", {"train": 3, "val": 2})
    prepare = ["data", "prepare", "--name=drawn_shapes", f"--data_dir={tmp_path}", "--seed=1"]
    assert program.main(prepare) == 0
    assert "splits train with 3 images, val with 2 images" in capsys.readouterr().out
    assert program.main(prepare) == 0
    assert "is there already" in capsys.readouterr().out
    where = [f"--config.data.data_dir={tmp_path / 'drawn_shapes'}"]
    assert program.main(["data", "check", "--config=configs/drawn_shapes.py:", *where]) == 0
    assert "train: 3 images, 3 classes" in capsys.readouterr().out


def test_prepare_names_its_own_flags_where_an_image_is_large_or_outside(capsys, tmp_path):
    source = make_folder(tmp_path / "birds", {"a": 2, "b": 2})
    (source / "b").rename(tmp_path / "elsewhere")
    (source / "b").symlink_to(tmp_path / "elsewhere")
    prepare = ["data", "prepare", f"--from={source}", "--name=birds", f"--data_dir={tmp_path}/tfds", "--size=6"]
    assert program.main(prepare) == 3
    assert capsys.readouterr().err.endswith("DO: add --follow_links if you trust it\n")
    prepare += ["--follow_links", "--max_pixels=107"]
    assert program.main(prepare) == 3
    assert capsys.readouterr().err.endswith("9 x 12 px is 0 Mpx, the limit is 0.000107 Mpx. DO: add --max_pixels=108\n")
    assert program.main([*prepare[:-1], "--max_pixels=108"]) == 0


def test_ignored_files_are_counted(capsys, tmp_path):
    make_folder(tmp_path, {f"{split}/{index}": 2 for split in ("train", "val") for index in range(10)})
    for name in ("a.tif", ".b.png"):
        (tmp_path / "train/3" / name).touch()
    arguments = as_folder(tmp_path, eval_split="validation")
    status, out, _ = check(capsys, *arguments)
    assert status == 0
    assert "9 x 12 px; 2 other files ignored\n" in out
    assert out.count("files ignored") == 1
    _, out, _ = check(capsys, *arguments, "--config.data.train_split=train[1:]")
    assert "2 other files ignored" in out


def test_prepare_makes_a_data_set_that_check_finds(capsys, tmp_path):
    source = make_folder(tmp_path / "birds", {f"train/{index}": 2 for index in range(10)} | {"val/3": 2})
    prepare = ["data", "prepare", f"--from={source}", "--name=birds", f"--data_dir={tmp_path}/tfds", "--size=6"]
    assert program.main(prepare) == 0
    out = capsys.readouterr().out
    assert "splits train, validation" in out
    assert "in the order of their classes: a slice such as train[:90%] lacks the last ones" in out
    assert program.main(prepare) == 0
    assert "is there already" in capsys.readouterr().out
    where = ["--config.data.name=birds", f"--config.data.data_dir={tmp_path}/tfds"]
    status, out, _ = check(capsys, *where, "--config.data.eval_split=validation")
    assert status == 0
    assert "20 images, 10 classes; of 20 decoded: 20 JPEG RGB; 6 x 8 px" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data"], "data takes check or prepare and got nothing"),
        (["data", "make"], "got make"),
        (["data", "check"], "data needs --config"),
        (["data", "prepare"], "data needs --name"),
        (["data", "prepare", "--name=../x", "--data_dir=.", "--from=."], "cannot name a data set"),
        (["data", "prepare", "--name=digits", "--data_dir=.", "--from=."], "cannot name a data set"),
        (["data", "prepare", "--name=x", "--data_dir=.", "--from=tests", "--labels=f"], "--labels is for the ImageNet"),
    ],
)
def test_a_wrong_command_line_is_answered_in_one_line(capsys, arguments, message):
    assert program.main(arguments) == 2
    assert message in capsys.readouterr().err


def test_every_image_is_read_if_asked_for(capsys, tmp_path):
    root = make_folder(tmp_path, {f"train/{index}": 70 if index == 0 else 1 for index in range(10)} | {"val/3": 2})
    flags = as_folder(root, train_split="train", eval_split="validation")
    status, out, err = check(capsys, *flags, "--deep")
    assert (status, out.count("decoded, 0 damaged, contents ")) == (0, 2)
    # One that the sample of `data check` alone leaves out.
    path = root / "train/0/005.png"
    path.write_bytes(path.read_bytes()[:60])
    assert check(capsys, *flags)[0] == 0
    status, out, err = check(capsys, *flags, "--deep")
    assert status == 3
    assert "read     train: 79 images decoded, 1 damaged, contents " in out
    assert "damaged  " in out and "train/0/005.png" in out
    assert "error[DATA-DECODE]: 1 image of folder in" in err
    assert "data.on_error=skip" in err


def test_progress_is_said_every_few_seconds(capsys, monkeypatch):
    monkeypatch.setattr("gauss_vit.commands.data._SAY_EVERY_SECONDS", 0.0)
    status, _, err = check(capsys, "--deep")
    assert status == 0
    assert [line.partition(" images read, ")[0] for line in err.splitlines()][-2:] == [
        "train: 1,437 of 1,437",
        "test[:50]: 50 of 50",
    ]
