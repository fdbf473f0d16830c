"""Labels and masks among the classes of a model: by name, in any order, and never by number alone."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from gauss_vit.batches import IGNORED, ClassTargets, Mask, MaskTargets
from gauss_vit.data.examples import Example, Source, palette_of
from gauss_vit.data.sources.folders import open_folder
from gauss_vit.data.sources.relabelled import with_classes, without_classes
from gauss_vit.errors import DataError
from gauss_vit.palette import generated_palette
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


@dataclass(frozen=True)
class Painted(ListSource):
    """Masks of the classes wren, crow and gull, in colours of their own, with an ignored pixel."""

    palette = ((1, 1, 1), (2, 2, 2), (3, 3, 3))

    @property
    def class_names(self) -> tuple[str, ...]:
        return ("wren", "crow", "gull")

    @property
    def padding_targets(self) -> MaskTargets:
        return MaskTargets(mask=Mask(values=np.zeros((1, 1), np.uint8)))

    def __getitem__(self, index: int) -> Example:
        values = np.asarray([[0, 1], [2, IGNORED]], np.uint8)
        return Example(image=b"", targets=MaskTargets(mask=Mask(values=values)), name="")


def test_masks_are_mapped_by_name_and_keep_their_colours():
    source = with_classes(Painted((b"",)), ("crow", "robin", "gull", "wren"), data_set="birds")
    targets = source[0].targets
    assert targets.mask.values.tolist() == [[3, 0], [2, IGNORED]]
    assert (targets.mask.values.dtype, targets.mask.fill, targets.size) == (np.uint8, IGNORED, None)
    assert palette_of(source) == ((2, 2, 2), generated_palette(4)[1], (3, 3, 3), (1, 1, 1))
    assert source.padding_targets.mask.values.shape == (1, 1)


def test_a_mask_may_have_255_classes():
    names = tuple(map(str, range(252)))
    source = with_classes(Painted((b"",)), ("crow", *names, "gull", "wren"), data_set="birds")
    assert source[0].targets.mask.values.tolist() == [[254, 0], [253, IGNORED]]


def test_classes_of_masks_are_left_out_by_name():
    source = without_classes(Painted((b"",)), ("crow",), data_set="birds")
    assert (source.class_names, palette_of(source)) == (("wren", "gull"), ((1, 1, 1), (3, 3, 3)))
    assert source[0].targets.mask.values.tolist() == [[0, IGNORED], [1, IGNORED]]
    again = with_classes(source, ("gull", "wren"), data_set="birds")
    assert again[0].targets.mask.values.tolist() == [[1, IGNORED], [0, IGNORED]]


def test_labels_have_no_colours():
    assert palette_of(with_classes(Reassessed((b"", b"")), MODEL, data_set="birds")) == ()


class Pictures(ListSource):
    """Examples with targets other than a class label."""

    @property
    def padding_targets(self):
        return np.zeros(2)


def test_targets_that_are_not_labels_cannot_be_mapped():
    source = Pictures((b"", b""))
    assert with_classes(source, ("class 0", "class 1"), data_set="maps") is source
    with pytest.raises(DataError, match="its targets are no labels or masks"):
        with_classes(source, ("class 1", "class 0"), data_set="maps")
