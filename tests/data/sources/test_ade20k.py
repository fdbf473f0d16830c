"""ADE20K: the folder as it is downloaded, 150 classes, and the shift of masks, which happens once."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from gauss_vit.batches import IGNORED
from gauss_vit.data.examples import Source, palette_of
from gauss_vit.data.sources import splits
from gauss_vit.data.sources.ade20k import ade20k_classes
from gauss_vit.errors import DataError
from tests.data.samples import encode
from tests.data.sources.mask_samples import HEIGHT, WIDTH, make_pairs
from tests.data.test_config import DATA

HEAD = "Idx\tRatio\tTrain\tVal\tName\n"


def opened(root: Path, split: str = "validation") -> Source:
    data = dataclasses.replace(DATA, name="ade20k", targets="masks", data_dir=str(root))
    return splits.open_split(data, split)


def make_ade20k(root: Path) -> Path:
    """The folder with drawn images; the last mask holds 0, 1, 2, ... from left to right and top to bottom."""
    make_pairs(root, {"training": 2, "validation": 2}, masks="annotations")
    mask = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH)
    (root / "annotations/validation/001.png").write_bytes(encode(mask))
    return root


def listed(names: list[str]) -> str:
    """The list of classes that comes with the data set, with a second name for each class."""
    rows = [f"{place} \t0.1\t10\t5\t{name}, also {name} \n" for place, name in enumerate(names, start=1)]
    return HEAD + "".join(rows)


def test_there_are_150_classes_with_names_of_their_own():
    classes = ade20k_classes()
    assert (len(set(classes.names)), len(classes.palette)) == (150, 150)
    assert (classes.names[0], classes.names[12], classes.names[149]) == ("wall", "person", "flag")
    assert (classes.palette[0], classes.palette[2], classes.palette[149]) == (
        (120, 120, 120),
        (6, 230, 230),
        (92, 0, 255),
    )


def test_masks_are_shifted_once_and_what_is_other_is_ignored(tmp_path: Path):
    source = opened(make_ade20k(tmp_path))
    stored = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    expected = np.where(stored == 0, IGNORED, stored - 1)
    np.testing.assert_array_equal(source[1].targets.mask.values, expected)
    assert (source.num_classes, palette_of(source)) == (150, ade20k_classes().palette)
    assert ade20k_classes().class_of_value == {0: IGNORED, **{value: value - 1 for value in range(1, 151)}}


@pytest.mark.parametrize("value", [151, 255])
def test_a_value_above_150_is_refused(tmp_path: Path, value: int):
    path = make_ade20k(tmp_path) / "annotations/validation/001.png"
    path.write_bytes(encode(np.full((HEIGHT, WIDTH), value, np.uint8)))
    with pytest.raises(DataError, match=rf"^{path} \(index 1\): the value {value} stands for no class"):
        opened(tmp_path)[1]


def test_splits_have_the_names_of_their_folders_or_the_usual_ones(tmp_path: Path):
    make_ade20k(tmp_path)
    for split in ("training", "train", "train[:2]"):
        assert len(opened(tmp_path, split)) == 2
    assert len(opened(tmp_path, "validation[50%:]")) == 1


def test_the_folder_that_the_archive_makes_may_be_inside(tmp_path: Path):
    make_ade20k(tmp_path / "ADEChallengeData2016")
    assert repr(opened(tmp_path)) == repr(opened(tmp_path / "ADEChallengeData2016"))


def test_what_is_missing_comes_with_where_to_get_it(tmp_path: Path):
    with pytest.raises(DataError, match="no folders images and annotations") as caught:
        opened(tmp_path)
    assert f"ADEChallengeData2016.zip (from data.csail.mit.edu/places/ADEchallenge) into {tmp_path}" in caught.value.do


def test_the_list_of_the_data_set_has_to_be_the_same(tmp_path: Path):
    names = list(ade20k_classes().names)
    info = make_ade20k(tmp_path) / "objectInfo150.txt"
    info.write_text(listed(names))
    assert opened(tmp_path).class_names == tuple(names)
    for changed, message in (
        ([*names[:4], "bush", *names[5:]], "class 5 is bush, also bush, and tree in ADE20K"),
        (names[:100], "has 100 classes instead of 150"),
        ([*names, "cloud"], "has 151 classes instead of 150"),
    ):
        info.write_text(listed(changed))
        with pytest.raises(DataError, match=f"^{info}:? {message}") as caught:
            opened(tmp_path)
        assert caught.value.code == "DATA-LABEL"
    info.write_bytes(b"\xff")
    with pytest.raises(DataError, match=r"objectInfo150\.txt cannot be read"):
        opened(tmp_path)
