"""The rhythm of a run refuses nonsense; that each field acts is tested in test_loop."""

import dataclasses

import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.train.config import Training
from tests.train.toy import TRAINING

OTHERS = ("best", "ema_decay", "observe_images")
COUNTS = [field.name for field in dataclasses.fields(Training) if field.name not in OTHERS]


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [0, -3])
def test_counts_are_at_least_one(name: str, value: int):
    with pytest.raises(ConfigError, match=f"{name} must be an integer >= 1, got {value}"):
        dataclasses.replace(TRAINING, **{name: value})


def test_no_images_may_be_observed():
    assert dataclasses.replace(TRAINING, observe_images=0).observe_images == 0
    with pytest.raises(ConfigError, match="observe_images must be an integer >= 0, got -1"):
        dataclasses.replace(TRAINING, observe_images=-1)


def test_all_errors_are_named_at_once():
    with pytest.raises(ConfigError, match=r"batch_size.*num_steps.*ema_decay"):
        dataclasses.replace(TRAINING, batch_size=0, num_steps=0, ema_decay=2.0)


def test_values_are_hashable():
    assert hash(TRAINING) == hash(dataclasses.replace(TRAINING))


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_decay_of_the_average_is_below_one(decay: float):
    with pytest.raises(ConfigError, match="ema_decay must be in"):
        dataclasses.replace(TRAINING, ema_decay=decay)


def test_batch_divides_into_its_parts():
    assert dataclasses.replace(TRAINING, accumulate=4).accumulate == 4
    with pytest.raises(ConfigError, match="batch_size 8 is not divisible by accumulate 3"):
        dataclasses.replace(TRAINING, accumulate=3)


@pytest.mark.parametrize(("every", "steps"), [(None, [12]), (5, [5, 10, 12]), (12, [12]), (99, [12])])
def test_everything_is_due_at_the_last_step(every: int | None, steps: list[int]):
    assert [step for step in range(1, 13) if TRAINING.is_due(every, step)] == steps
