"""Kinds of data sets: a folder of images and the digits train without the packages that read TFDS sets."""

import dataclasses
import subprocess
import sys

import pytest

from gauss_vit.data.sources.data_sets import DataSet, open_data_set
from gauss_vit.data.sources.splits import known_splits, open_split
from tests.data.sources.folder_samples import make_folder
from tests.data.test_config import DATA

BLOCKED = ("tensorflow_datasets", "tensorflow", "array_record", "grain", "sklearn")
RUN = f"""
import sys
sys.modules.update(dict.fromkeys({BLOCKED}))
from gauss_vit.main import main
sys.exit(main(sys.argv[1:]))
"""


def blocked(*arguments):
    """Runs the command line in a process that cannot import the packages."""
    command = [sys.executable, "-c", RUN, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.parametrize("name", ["folder", "digits"])
def test_a_folder_and_the_digits_are_checked_and_trained_without_the_packages_of_tfds(name, tmp_path):
    make_folder(tmp_path / "images", {f"{split}/{index}": 2 for split in ("train", "test") for index in range(10)})
    flags = [f"--config.data.{key}={value}" for key, value in {"name": name, "data_dir": tmp_path / "images"}.items()]
    config = ["--config=tests/tiny_config.py", *flags]
    check = blocked("data", "check", *config)
    assert (check.returncode, "10 classes" in check.stdout) == (0, True), check.stderr
    periods = {"training.num_steps": 2, "evaluators[0].every": 2}
    steps = [f"--config.{key}={count}" for key, count in periods.items()]
    run = blocked(*config, f"--workdir={tmp_path}/run", *steps)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "run" / "metrics.jsonl").exists()


def test_a_tfds_set_without_its_packages_names_the_extra(tmp_path):
    run = blocked("data", "check", "--config=tests/tiny_config.py", "--config.data.name=cifar10")
    assert run.returncode == 3
    assert "tensorflow_datasets, which is not installed" in run.stderr
    assert "pip install 'gauss_vit[tfds]'" in run.stderr


def test_every_kind_has_splits_and_a_whole(digits_root, tmp_path):
    make_folder(tmp_path, {"a": 3, "b": 2})
    sizes = {}
    kinds = {"folder": tmp_path, "digits": "nowhere", "digits:1.0.0": digits_root}
    for name, data_dir in kinds.items():
        data_set = open_data_set(dataclasses.replace(DATA, name=name, data_dir=str(data_dir)))
        assert isinstance(data_set, DataSet)
        sizes[name] = (data_set.split_names(), len(data_set.open_whole()))
    assert sizes == {
        "folder": (("all",), 5),
        "digits": (("train", "test"), 1797),
        "digits:1.0.0": (("train", "test"), 1797),
    }


def test_the_digits_need_no_folder():
    data = dataclasses.replace(DATA, name="digits", data_dir="/does/not/exist")
    assert known_splits(data) == ("train", "test")
    assert len(open_split(data, "test[:10]")) == 10
