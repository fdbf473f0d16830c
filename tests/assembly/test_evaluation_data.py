"""What a classifier is measured on, with fewer classes than it has."""

import dataclasses

import numpy as np
import pytest

from gauss_vit.assembly import evaluation_data
from gauss_vit.batches import ClassTargets
from gauss_vit.data.examples import Example
from gauss_vit.errors import ConfigError
from gauss_vit.files import FileSet
from gauss_vit.metrics.class_subsets import CLASS_SUBSETS, ClassSubset
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.tasks.classification import Classification
from gauss_vit.trained_on import UNKNOWN, TrainedOn
from tests.tiny_config import get_config

IMAGENET = dataclasses.replace(get_config(), task=Classification())


@dataclasses.dataclass(frozen=True)
class Stub:
    """A source of so many classes and no image."""

    num_classes: int

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(f"class {index}" for index in range(self.num_classes))

    @property
    def padding_targets(self) -> ClassTargets:
        return ClassTargets(label=np.int32(0))

    def file_set(self) -> FileSet:
        return FileSet.of([])

    def __len__(self) -> int:
        return 0

    def __getitem__(self, index: int) -> Example:
        raise IndexError(index)


@pytest.mark.parametrize("num_classes", [200, 1000])
def test_subset_takes_a_data_set_of_its_own_or_of_all_classes(monkeypatch: pytest.MonkeyPatch, num_classes: int):
    monkeypatch.setattr("gauss_vit.data.sources.splits.open_split", lambda data, split: Stub(num_classes))
    source = evaluation_data.open_source(IMAGENET, "imagenet_r", trained_on=UNKNOWN)
    subset = ClassSubset(indices=CLASS_SUBSETS["imagenet_r"], num_labels=source.num_classes)
    names = evaluation_data.chosen_names(source, subset)
    assert len(names) == 200
    assert names[2] == ("class 2" if num_classes == 200 else "class 4")


def test_data_set_of_other_classes_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gauss_vit.data.sources.splits.open_split", lambda data, split: Stub(120))
    with pytest.raises(ConfigError, match="200 of ImageNet's 1000 classes"):
        evaluation_data.open_source(IMAGENET, "imagenet_a", trained_on=UNKNOWN)


def test_all_classes_are_in_question_without_a_subset():
    assert len(evaluation_data.chosen_names(Stub(7), None)) == 7


KNOWN = TrainedOn(
    class_names=tuple(f"class {index}" for index in range(1000)),
    normalization=get_config().data.normalization,
    grids={},
    files={"digits test[:50]": FileSet.of([("a", 3)])},
)


def test_subset_of_a_model_with_known_classes_is_found_by_name(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gauss_vit.data.sources.splits.open_split", lambda data, split: Stub(200))
    source = evaluation_data.open_source(IMAGENET, "imagenet_r", trained_on=KNOWN)
    assert source.num_classes == 1000
    subset = ClassSubset(indices=CLASS_SUBSETS["imagenet_r"], num_labels=source.num_classes)
    assert evaluation_data.chosen_names(source, subset)[2] == "class 4"


def test_what_differs_from_training_is_said():
    source, experiment = Stub(1000), get_config()
    (unknown,) = evaluation_data.remarks(experiment, source, UNKNOWN)
    assert "does not say which classes" in unknown
    assert "those of digits in order: class 0, class 1, class 2, class 3, class 4 and 995 more" in unknown
    (changed,) = evaluation_data.remarks(experiment, source, KNOWN)
    assert changed == (
        "the data set changed since training: digits test[:50] has 0 files of 0 bytes instead of 1 file of 3 bytes"
    )
    other = dataclasses.replace(KNOWN, normalization=Normalization(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)), files={})
    (pixels,) = evaluation_data.remarks(experiment, source, other)
    assert pixels == (
        "the model was trained on pixels with mean (0.0, 0.0, 0.0) and deviation (1.0, 1.0, 1.0); they now have mean"
        " (0.5, 0.5, 0.5) and deviation (0.5, 0.5, 0.5)"
    )
    assert evaluation_data.remarks(experiment, source, dataclasses.replace(KNOWN, files={})) == []
