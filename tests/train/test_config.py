"""The rhythm of a run refuses nonsense; that each field acts is tested in test_loop."""

import dataclasses

import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.tasks.evaluator import Best
from gauss_vit.train.config import Training
from tests.train.toy import TRAINING

OTHERS = ("best", "ema_decay", "observe_images", "num_epochs")
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


def test_the_best_of_a_moving_average_needs_one():
    best = Best(metric="eval/ema_loss", mode="min")
    assert dataclasses.replace(TRAINING, best=best, ema_decay=0.5).best == best
    with pytest.raises(ConfigError, match="eval/ema_loss is of the moving average, and ema_decay is None"):
        dataclasses.replace(TRAINING, best=best)


def test_all_errors_are_named_at_once():
    with pytest.raises(ConfigError, match=r"batch_size.*num_steps.*ema_decay"):
        dataclasses.replace(TRAINING, batch_size=0, num_steps=0, ema_decay=2.0)


@pytest.mark.parametrize(
    ("length", "message"),
    [
        ({"num_steps": 3, "num_epochs": 2.0}, "num_steps 3 and num_epochs 2.0 are both given"),
        ({"num_steps": None}, "num_steps or num_epochs must be given"),
        ({"num_steps": None, "num_epochs": 0.0}, "num_epochs must be a number > 0, got 0.0"),
        ({"num_steps": None, "num_epochs": float("inf")}, "num_epochs must be a number > 0, got inf"),
    ],
)
def test_length_is_given_once(length: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(TRAINING, **length)


@pytest.mark.parametrize(("num_epochs", "num_steps"), [(1.0, 13), (3.0, 38), (0.01, 1), (0.08, 1), (0.16, 2)])
def test_epochs_become_steps_of_whole_batches(num_epochs: float, num_steps: int):
    training = dataclasses.replace(TRAINING, num_steps=None, num_epochs=num_epochs)
    with pytest.raises(ConfigError, match=r"training\.num_epochs .* DO: set training\.num_steps"):
        _ = training.total_steps
    counted = training.in_steps(100)
    assert (counted.total_steps, counted.num_epochs) == (num_steps, None)
    assert counted.in_steps(7) == counted


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


def test_checkpoints_for_good_are_among_those_that_are_saved():
    assert dataclasses.replace(TRAINING, keep_every=6).keep_every == 6
    with pytest.raises(ConfigError, match="keep_every 4 is not a multiple of checkpoint_every 3"):
        dataclasses.replace(TRAINING, keep_every=4)


@pytest.mark.parametrize(("every", "steps"), [(None, [12]), (5, [5, 10, 12]), (12, [12]), (99, [12])])
def test_everything_is_due_at_the_last_step(every: int | None, steps: list[int]):
    assert [step for step in range(1, 13) if TRAINING.is_due(every, step)] == steps
