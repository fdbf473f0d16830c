"""Kinds of data sets: a folder of images and the digits train without the packages that read TFDS sets."""

import dataclasses
import os
import subprocess
import sys

from gauss_vit.data.sources.data_sets import DataSet, open_data_set
from gauss_vit.data.sources.splits import known_splits, open_split
from tests.data.sources.folder_samples import make_folder
from tests.data.test_config import DATA

BLOCKED = ("tensorflow_datasets", "tensorflow", "array_record", "grain", "sklearn")
RUN = f"""
import sys
sys.modules.update(dict.fromkeys({BLOCKED}))
from gauss_vit.main import main
for line in sys.argv[1:]:
    status = main(line.split())
    print("status", status)
    if status:
        sys.exit(status)
"""


def blocked(*lines):
    """Runs command lines, until one fails, in a process that cannot import the packages."""
    command = [sys.executable, "-c", RUN, *lines]
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=environment)


def test_a_folder_and_the_digits_are_checked_and_trained_without_the_packages_of_tfds(tmp_path):
    make_folder(tmp_path / "images", {f"{split}/{index}": 2 for split in ("train", "test") for index in range(10)})
    folder = f"--config=tests/tiny_config.py --config.data.name=folder --config.data.data_dir={tmp_path}/images"
    digits = "--config=tests/tiny_config.py --config.data.name=digits"
    steps = "--config.training.num_steps=2 --config.evaluators[0].every=2"
    run = blocked(
        *(f"data check {config}" for config in (folder, digits)),
        *(f"{config} {steps} --workdir={tmp_path}/{name}" for name, config in (("a", folder), ("b", digits))),
    )
    assert run.returncode == 0, run.stderr
    *said, rest = run.stdout.split("status 0")
    assert (["10 classes" in text for text in said[:2]], len(said), rest.strip()) == ([True, True], 4, "")
    assert all((tmp_path / name / "metrics.jsonl").exists() for name in "ab")


def test_a_tfds_set_without_its_packages_names_the_extra(tmp_path):
    run = blocked("data check --config=tests/tiny_config.py --config.data.name=cifar10")
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
