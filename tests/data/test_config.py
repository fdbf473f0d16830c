"""The data config: what it refuses, and that it is light to import."""

import dataclasses
import subprocess
import sys

import pytest

from gauss_vit.data.config import Data
from gauss_vit.data.images.transforms import RandomShift, ResizeCenterCrop
from gauss_vit.errors import ConfigError
from gauss_vit.ops.pixel_normalization import Normalization

DATA = Data(
    name="digits",
    train_split="train",
    eval_split="test",
    train_transforms=(RandomShift(max_shift_px=2),),
    eval_transform=ResizeCenterCrop(crop_fraction=1.0),
    normalization=Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
    num_threads=2,
)


def test_equal_configs_have_equal_hashes():
    assert hash(DATA) == hash(dataclasses.replace(DATA))


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"train_split": ""},
        {"eval_split": ""},
        {"num_threads": -1},
        {"max_skipped": -1},
        {"max_pixels": 0},
        {"max_pixels": 180_000_000},
    ],
)
def test_values_out_of_range_are_refused_by_name(changes):
    with pytest.raises(ConfigError, match=f"data.{next(iter(changes))}"):
        dataclasses.replace(DATA, **changes)


@pytest.mark.parametrize(
    ("name", "targets", "wanted"),
    [("digits", "masks", "classes"), ("folder", "masks", "classes"), ("mask_folder", "classes", "masks")],
)
def test_a_data_set_of_other_targets_is_refused(name, targets, wanted):
    with pytest.raises(ConfigError, match=f"data.name={name} has {wanted} as targets .*set data.targets to '{wanted}'"):
        dataclasses.replace(DATA, name=name, targets=targets)


def test_only_classes_of_masks_can_be_ignored():
    with pytest.raises(ConfigError, match=r"data\.ignored_classes is for masks"):
        dataclasses.replace(DATA, ignored_classes=("border",))
    masks = dataclasses.replace(DATA, name="oxford_iiit_pet", targets="masks", ignored_classes=("border",))
    assert masks.ignored_classes == ("border",)


def test_importing_the_config_imports_no_reader_of_data():
    script = "import sys, gauss_vit.data.config; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"tensorflow_datasets", "grain", "sklearn", "tensorflow"} & set(loaded)
