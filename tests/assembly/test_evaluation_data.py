"""What a classifier is measured on, with fewer classes than it has."""

import dataclasses

import numpy as np
import pytest

from gauss_vit.assembly import evaluation_data
from gauss_vit.batches import ClassTargets
from gauss_vit.data.examples import Example
from gauss_vit.errors import ConfigError
from gauss_vit.metrics.class_subsets import CLASS_SUBSETS
from gauss_vit.tasks.assessment import ClassSubset
from gauss_vit.tasks.classification import Classification
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

    def __len__(self) -> int:
        return 0

    def __getitem__(self, index: int) -> Example:
        raise IndexError(index)


@pytest.mark.parametrize("num_classes", [200, 1000])
def test_subset_takes_a_data_set_of_its_own_or_of_all_classes(monkeypatch: pytest.MonkeyPatch, num_classes: int):
    monkeypatch.setattr("gauss_vit.data.sources.splits.open_split", lambda data, split: Stub(num_classes))
    source = evaluation_data.open_source(IMAGENET, "imagenet_r")
    subset = ClassSubset(indices=CLASS_SUBSETS["imagenet_r"], num_labels=source.num_classes)
    names = evaluation_data.chosen_names(source, subset)
    assert len(names) == 200
    assert names[2] == ("class 2" if num_classes == 200 else "class 4")


def test_data_set_of_other_classes_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gauss_vit.data.sources.splits.open_split", lambda data, split: Stub(120))
    with pytest.raises(ConfigError, match="200 of ImageNet's 1000 classes"):
        evaluation_data.open_source(IMAGENET, "imagenet_a")


def test_all_classes_are_in_question_without_a_subset():
    assert len(evaluation_data.chosen_names(Stub(7), None)) == 7
