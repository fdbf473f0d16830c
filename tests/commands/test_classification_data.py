"""Batches of an experiment: functions of the step, with exact padding, checked against the model."""

import dataclasses

import numpy as np
import pytest

from gauss_vit.commands import classification_data
from gauss_vit.errors import ConfigError, DataError
from gauss_vit.experiment import Experiment
from tests.tiny_config import get_config


@pytest.fixture(scope="module")
def experiment(data_flag: str) -> Experiment:
    data = dataclasses.replace(get_config().data, data_dir=data_flag.partition("=")[2])
    return dataclasses.replace(get_config(), data=data)


def test_training_batches_depend_on_the_step_alone(experiment: Experiment):
    feed = classification_data.feed(experiment)
    whole, rest = list(feed.train(0)), list(feed.train(2))
    assert (len(whole), len(rest)) == (4, 2)
    for first, second in zip(whole[2:], rest, strict=True):
        np.testing.assert_array_equal(first.image, second.image)
        np.testing.assert_array_equal(first.label, second.label)
    assert whole[0].image.shape == (16, 16, 32, 3)


def test_digests_tell_steps_and_seeds_apart(experiment: Experiment):
    feeds = [classification_data.feed(dataclasses.replace(experiment, seed=seed)) for seed in (0, 0, 1)]
    assert feeds[0].digest(3) == feeds[1].digest(3)
    assert len({feeds[0].digest(2), feeds[0].digest(3), feeds[2].digest(3)}) == 3


def test_evaluation_sees_every_example_once(experiment: Experiment):
    batches = list(classification_data.feed(experiment).evaluation())
    assert [len(batch.is_real) for batch in batches] == [32, 32]
    assert sum(int(batch.is_real.sum()) for batch in batches) == 50


def test_model_with_other_classes_is_refused(experiment: Experiment):
    other = dataclasses.replace(experiment, model=dataclasses.replace(experiment.model, num_classes=1000))
    with pytest.raises(ConfigError, match=r"set model\.num_classes to 10"):
        classification_data.open_split(other, "train")


def test_unknown_split_is_refused(experiment: Experiment):
    with pytest.raises(DataError):
        classification_data.open_split(experiment, "validation")
