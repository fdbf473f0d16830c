"""The rhythm of a run refuses nonsense; that each field acts is tested in test_loop."""

import dataclasses

import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.train.config import Training
from tests.train.toy import TRAINING


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Training) if field.name != "best_metric"])
@pytest.mark.parametrize("value", [0, -3])
def test_counts_are_at_least_one(name: str, value: int):
    with pytest.raises(ConfigError, match=f"{name} must be an integer >= 1, got {value}"):
        dataclasses.replace(TRAINING, **{name: value})


def test_all_errors_are_named_at_once():
    with pytest.raises(ConfigError, match=r"batch_size.*num_steps.*best_metric"):
        dataclasses.replace(TRAINING, batch_size=0, num_steps=0, best_metric="")


def test_values_are_hashable():
    assert hash(TRAINING) == hash(dataclasses.replace(TRAINING))
