"""Labels among the classes of a model: by name, in any order, and never by number alone."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from gauss_vit.batches import ClassTargets
from gauss_vit.data.examples import Example, Source
from gauss_vit.data.sources.folders import open_folder
from gauss_vit.data.sources.relabelled import with_classes
from gauss_vit.errors import DataError
from tests.data.samples import ListSource
from tests.data.sources.folder_samples import make_folder

MODEL = ("crow", "gull", "wren")


def folder_of(root: Path, *classes: str) -> Source:
    """A folder with 1, 2, 3, ... images of its classes."""
    return open_folder(make_folder(root, {name: count for count, name in enumerate(classes, start=1)}), "all")


def labels(source: Source) -> list[int]:
    return [int(source[index].targets.label) for index in range(len(source))]


def test_the_same_classes_are_taken_as_they_are(tmp_path: Path):
    source = folder_of(tmp_path, *MODEL)
    assert with_classes(source, MODEL, data_set="birds") is source


def test_another_order_is_mapped_by_name(tmp_path: Path):
    source = with_classes(folder_of(tmp_path, *MODEL), ("wren", "crow", "gull"), data_set="birds")
    assert labels(source) == [1, 2, 2, 0, 0, 0]
    assert (source.class_names, source.num_classes, len(source)) == (("wren", "crow", "gull"), 3, 6)


def test_some_of_the_classes_keep_their_places_among_all(tmp_path: Path):
    source = with_classes(folder_of(tmp_path, "crow", "wren"), MODEL, data_set="birds")
    assert labels(source) == [0, 2, 2]
    assert source.class_names == MODEL


def test_examples_and_files_stay_the_same(tmp_path: Path):
    given = folder_of(tmp_path, "crow", "wren")
    source = with_classes(given, MODEL, data_set="birds")
    assert (source[1].image, source[1].name) == (given[1].image, given[1].name)
    assert source.file_set() == given.file_set()
    assert repr(source) != repr(with_classes(given, ("wren", "gull", "crow"), data_set="birds"))


@pytest.mark.parametrize("classes", [("x", "y", "z"), ("crow", "gull", "robin"), ("crow", "gull", "wren", "robin")])
def test_other_classes_are_refused_by_name(tmp_path: Path, classes: tuple[str, ...]):
    new = ", ".join(sorted(set(classes) - set(MODEL)))
    with pytest.raises(
        DataError, match=rf"of birds are not among the 3 of the model: {new} \(it has crow, gull, wren\)"
    ) as caught:
        with_classes(folder_of(tmp_path, *classes), MODEL, data_set="birds")
    assert caught.value.code == "DATA-LABEL"
    assert "same names" in caught.value.do


def test_many_other_classes_are_counted(tmp_path: Path):
    source = ListSource(tuple(b"" for _ in range(9)))
    with pytest.raises(DataError, match=r"9 of the 9 classes .*: class 0, .*, class 4 and 4 more \(it has crow"):
        with_classes(source, MODEL, data_set="birds")


def test_a_repeated_name_in_another_order_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="several are named wren"):
        with_classes(folder_of(tmp_path, "crow", "wren"), ("wren", "crow", "wren"), data_set="birds")


@dataclass(frozen=True)
class Reassessed(ListSource):
    """Two classes, each example with both accepted."""

    @property
    def class_names(self) -> tuple[str, ...]:
        return ("wren", "crow")

    @property
    def padding_targets(self) -> ClassTargets:
        return ClassTargets(label=np.int32(0), accepted=np.zeros(2, np.bool_))

    def __getitem__(self, index: int) -> Example:
        targets = ClassTargets(label=np.int32(index), accepted=np.asarray([True, index == 1]))
        return Example(image=b"", targets=targets, name="")


def test_accepted_classes_move_with_the_label():
    source = with_classes(Reassessed((b"", b"")), MODEL, data_set="birds")
    assert source.padding_targets.accepted.tolist() == [False, False, False]
    assert source[0].targets.accepted.tolist() == [False, False, True]
    assert source[1].targets.accepted.tolist() == [True, False, True]
    assert labels(source) == [2, 0]


class Pictures(ListSource):
    """Examples with targets other than a class label."""

    @property
    def padding_targets(self):
        return np.zeros(2)


def test_targets_that_are_not_labels_cannot_be_mapped():
    source = Pictures((b"", b""))
    assert with_classes(source, ("class 0", "class 1"), data_set="maps") is source
    with pytest.raises(DataError, match="its targets are not class labels"):
        with_classes(source, ("class 1", "class 0"), data_set="maps")
