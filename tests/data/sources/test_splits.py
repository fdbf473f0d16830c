"""Splits: the paper's random one, bit for bit, and the data set's own."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from gauss_vit.data.sources import splits
from gauss_vit.data.sources.slices import parse
from gauss_vit.data.sources.splits import known_splits, open_split, paper_indices
from gauss_vit.errors import DataError
from tests.data.sources.folder_samples import make_folder
from tests.data.test_config import DATA

ORACLE = json.loads(Path(__file__).with_name("image_folder.json").read_text())
SIZES = {7390: (5173, 1108, 1108), 9144: (6400, 1371, 1371), 16185: (11329, 2427, 2427), 20580: (14405, 3087, 3087)}

GOLDEN_PETS = {"train": [3656, 5296, 4286, 5356], "test": [4931, 3264, 1653, 2607]}


@pytest.fixture
def folder(tmp_path):
    """Three classes with 20 images, as the data of a run."""
    make_folder(tmp_path, {"a": 8, "b": 7, "c": 5})
    return dataclasses.replace(DATA, name="folder", data_dir=str(tmp_path), split_protocol="paper")


@pytest.mark.parametrize("num_examples", SIZES)
def test_sizes_are_those_of_the_paper(num_examples):
    parts = paper_indices(num_examples)
    assert tuple(len(part) for part in parts.values()) == SIZES[num_examples]
    together = np.concatenate(list(parts.values()))
    assert len(np.unique(together)) == len(together)
    assert together.max() < num_examples


def test_members_are_those_of_the_authors_shuffle():
    parts = {split: part.tolist() for split, part in paper_indices(len(ORACLE["files"])).items()}
    assert parts == ORACLE["paper"]


def test_the_split_of_the_pets_is_golden():
    parts = paper_indices(7390)
    assert parts["train"][:4].tolist() == GOLDEN_PETS["train"]
    assert parts["test"][-4:].tolist() == GOLDEN_PETS["test"]


def test_the_shuffle_leaves_numpys_global_state_alone():
    np.random.seed(3)
    expected = np.random.RandomState(3).random_sample()
    paper_indices(100)
    assert np.random.random_sample() == expected


def test_the_papers_splits_of_a_folder_are_disjoint_and_cover_all_but_the_remainder(folder):
    sources = [open_split(folder, split) for split in ("train", "validation", "test")]
    assert [len(source) for source in sources] == [14, 3, 3]
    names = [source[index].name for source in sources for index in range(len(source))]
    assert len(set(names)) == 20
    assert {source.class_names for source in sources} == {("a", "b", "c")}


def test_a_subset_reads_the_examples_that_its_indices_name(folder):
    subset = open_split(folder, "train")
    assert subset[2] == subset.source[int(subset.indices[2])]
    with pytest.raises(IndexError):
        subset[14]


def test_slices_of_the_papers_splits_are_slices_of_their_examples(folder):
    whole, part = open_split(folder, "train"), open_split(folder, "train[5:7]")
    assert [part[index].name for index in range(len(part))] == [whole[5].name, whole[6].name]
    assert repr(part) != repr(whole)


def test_a_divided_folder_has_no_papers_split(folder, tmp_path):
    make_folder(tmp_path / "divided", {"train/a": 1, "val/a": 1})
    with pytest.raises(DataError, match=r"already divided, into train, val.*split_protocol=official"):
        open_split(dataclasses.replace(folder, data_dir=str(tmp_path / "divided")), "train")


def test_the_papers_split_of_a_tfds_set_is_one_of_all_its_splits(digits_root):
    data = dataclasses.replace(DATA, name="digits:1.0.0", data_dir=str(digits_root), split_protocol="paper")
    assert [len(open_split(data, split)) for split in known_splits(data)] == [1257, 269, 269]
    assert "train+test" in repr(open_split(data, "test"))


def test_official_splits_are_those_of_the_data_set(digits_root, folder, tmp_path):
    data = dataclasses.replace(DATA, name="digits:1.0.0", data_dir=str(digits_root))
    assert known_splits(data) == ("train", "test")
    assert repr(open_split(data, "test")).startswith("TfdsSource(")
    official = dataclasses.replace(folder, split_protocol="official")
    assert known_splits(official) == ("all",)
    assert len(open_split(official, "all[7:16]")) == 9


@pytest.mark.parametrize(("split", "held"), [("all[:75%]", 2), ("all[8:]", 2), ("all[-3:]", 1)])
def test_a_slice_of_a_folder_that_lacks_classes_is_refused_with_a_remedy(folder, split, held):
    official = dataclasses.replace(folder, split_protocol="official")
    with pytest.raises(DataError, match=f"holds images of {held} of 3 classes") as caught:
        open_split(official, split)
    assert caught.value.code == "DATA-LABEL"
    assert caught.value.do.startswith("add --config.data.split_protocol=paper")
    assert len(open_split(folder, "train[:50%]")) == 7


def test_a_slice_of_a_divided_folder_must_have_the_classes_of_its_split_alone(folder, tmp_path):
    make_folder(tmp_path / "divided", {"train/a": 2, "train/b": 2, "train/c": 2, "val/a": 2, "val/c": 2})
    divided = dataclasses.replace(folder, data_dir=str(tmp_path / "divided"), split_protocol="official")
    assert len(open_split(divided, "val[1:3]")) == 2
    with pytest.raises(DataError, match="holds images of 1 of 2 classes") as caught:
        open_split(divided, "val[:2]")
    assert (
        caught.value.do
        == "use validation as a whole, or move some images of every class into a folder of another split"
    )


@pytest.mark.parametrize("split", ["training", "all", "train[", "train[20:]", "train[a:b]"])
def test_a_split_that_is_none_or_empty_is_an_error(folder, split):
    with pytest.raises(DataError):
        open_split(folder, split)


def test_a_set_too_small_for_three_splits_is_an_error(tmp_path):
    make_folder(tmp_path, {"a": 3})
    data = dataclasses.replace(DATA, name="folder", data_dir=str(tmp_path), split_protocol="paper")
    with pytest.raises(DataError, match="split paper test is empty"):
        open_split(data, "test")


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("x", range(10)),
        ("x[:90%]", range(9)),
        ("x[-3:]", range(7, 10)),
        ("x[2:4]", range(2, 4)),
        ("x[8:99]", range(8, 10)),
    ],
)
def test_slices_read_as_tfds_reads_them(split, expected):
    assert parse(split).indices(10) == expected


def test_shares_are_the_papers():
    assert splits.SHARES == {"train": 0.7, "validation": 0.15, "test": 0.15}
