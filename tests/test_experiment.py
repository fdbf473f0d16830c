"""The experiment: typed, hashable, the same as JSON, and every key of it can be overridden."""

import dataclasses
import json
from pathlib import Path

import pytest

from gauss_vit import experiment
from gauss_vit.config import schema
from gauss_vit.config.keys import keys_of
from gauss_vit.errors import ConfigError
from gauss_vit.experiment import Experiment
from gauss_vit.models.presets import PRESETS
from gauss_vit.ops.erasing import Erasing
from gauss_vit.ops.mixing import Mixing
from gauss_vit.position.position import Position, with_terms, without_terms
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.position.terms.relative import RelativeTable
from gauss_vit.tasks.classification import Classification
from gauss_vit.tasks.evaluator import Evaluator
from gauss_vit.train.optim import (
    LAMB,
    SGD,
    VECTORS,
    Constant,
    Cooldown,
    LearningRateScale,
    Lion,
    Optimizer,
    Polynomial,
    Schedule,
    Step,
)
from tests.data import objects_config
from tests.tiny_config import get_config

TINY = get_config()
VARIANTS = {
    "tiny": TINY,
    "sgd": dataclasses.replace(
        TINY,
        optimizer=Optimizer(
            rule=SGD(momentum=0.9),
            learning_rate=0.1,
            weight_decay=0.0,
            schedule=Schedule(curve=Step(boundaries=(2, 3))),
        ),
    ),
    "lamb": dataclasses.replace(
        TINY,
        optimizer=Optimizer(
            rule=LAMB(),
            learning_rate=3e-3,
            weight_decay=0.02,
            schedule=Schedule(curve=Polynomial(power=2.0), cooldown=Cooldown(steps=1, rate=1e-5)),
            max_gradient_norm=1.0,
            no_decay=VECTORS,
            learning_rate_scale=LearningRateScale(
                layer_decay=0.75, factors=((r"head\..*", 10.0),), frozen=(r"patch_embed\..*",)
            ),
        ),
    ),
    "lion": dataclasses.replace(TINY, optimizer=Optimizer(rule=Lion(), learning_rate=1e-4, weight_decay=1.0)),
    "mixing": dataclasses.replace(
        TINY,
        task=Classification(
            objective="binary_cross_entropy",
            mixing=Mixing(mixup=0.2, cutmix=1.0),
            erasing=Erasing(probability=0.25, aspect=(0.5, 2.0)),
        ),
        training=dataclasses.replace(TINY.training, accumulate=2, ema_decay=0.99),
    ),
    "constant": dataclasses.replace(
        TINY, optimizer=dataclasses.replace(TINY.optimizer, schedule=Schedule(curve=Constant()))
    ),
    "no gaussian": dataclasses.replace(TINY, model=without_terms(TINY.model, Gaussian)),
    "start": experiment.load("configs/finetune.py:data=pet,bias=gauss"),
    "rand augment": experiment.load("configs/imagenet.py:model=s16"),
    "table": dataclasses.replace(
        TINY,
        model=dataclasses.replace(
            TINY.model,
            position=Position(
                terms=(
                    RelativeTable(),
                    Gaussian(sigma=1.0),
                )
            ),
        ),
    ),
    **{name: dataclasses.replace(TINY, model=model) for name, model in PRESETS.items()},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_json_text_gives_an_equal_experiment_back(name: str):
    text = json.dumps(VARIANTS[name].to_json(), allow_nan=False)
    assert experiment.from_json(json.loads(text)) == VARIANTS[name]


def test_experiments_are_hashable_and_equal_by_value():
    assert hash(get_config()) == hash(TINY)
    assert get_config() == TINY


def test_no_config_type_has_a_field_that_the_json_form_needs():
    types = schema.config_types(Experiment)
    assert len(types) > 10
    assert not any("type" in schema.field_names(cls) for cls in types)


def test_names_of_config_types_are_distinct():
    names = [cls.__name__ for cls in schema.config_types(Experiment)]
    assert len(set(names)) == len(names)


def test_stored_experiment_is_read_back(tmp_path: Path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(TINY.to_json()), encoding="utf-8")
    assert experiment.read(path) == TINY
    assert experiment.load(str(path)) == TINY


def test_stored_experiment_of_an_earlier_version_gets_the_defaults():
    old = TINY.to_json()
    for section, name in (("task", "mixing"), ("training", "accumulate"), ("optimizer", "rates")):
        old = {**old, section: {key: value for key, value in old[section].items() if key != name}}
    assert TINY.with_defaults(old) == TINY.to_json()


def test_stored_experiment_that_cannot_be_read_is_left_as_it_is():
    unknown = {**TINY.to_json(), "extra": 1}
    assert TINY.with_defaults(unknown) == unknown


def test_config_file_is_loaded():
    assert experiment.load("tests/tiny_config.py") == TINY


@pytest.mark.parametrize("name", VARIANTS)
def test_all_keys_can_be_overridden_with_their_own_values(name: str):
    shown = VARIANTS[name]
    assert experiment.override(shown, own_values(shown)) == shown


def test_every_key_can_be_overridden_alone():
    for path, value in own_values(TINY).items():
        assert experiment.override(TINY, {path: value}) == TINY


def own_values(shown: Experiment) -> dict[str, schema.JsonValue]:
    """The value of every key that is no group, but for those below a part that is None."""
    data, keys = shown.to_json(), keys_of(shown)
    absent = tuple(f"{key.path}." for key in keys if key.is_group and value_at(data, key.path) is None)
    paths = [key.path for key in keys if not key.is_group and not key.path.startswith(absent)]
    assert paths
    return {path: value_at(data, path) for path in paths}


def value_at(data: schema.JsonValue, path: str) -> schema.JsonValue:
    """The value of a key; None below a part that is None."""
    for key in schema.split(path):
        data = None if data is None else data[key]
    return data


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"seed": 7}, dataclasses.replace(TINY, seed=7)),
        ({"model.position.terms": []}, VARIANTS["no gaussian"]),
        ({"optimizer.schedule": {"curve": {"type": "Constant"}}}, VARIANTS["constant"]),
        (
            {"model.position.terms[0].sigma": 2},
            dataclasses.replace(TINY, model=with_terms(TINY.model, Gaussian(sigma=2.0))),
        ),
        (
            {"task.mixing.mixup": 0.2, "task.erasing.probability": 0.25},
            dataclasses.replace(
                TINY,
                task=dataclasses.replace(TINY.task, mixing=Mixing(mixup=0.2), erasing=Erasing(probability=0.25)),
            ),
        ),
        (
            {"model.width": 24, "model.num_heads": 3},
            dataclasses.replace(TINY, model=dataclasses.replace(TINY.model, width=24, num_heads=3)),
        ),
    ],
)
def test_overrides_change_what_they_name(changes: dict, expected: Experiment):
    assert experiment.override(TINY, changes) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"training.batch_size": -3}, "training.batch_size must be an integer >= 1, got -3"),
        ({"optimizer.learning_rate": float("nan")}, "optimizer.learning_rate must be"),
        ({"optimizer.learning_rate": 0}, "optimizer.learning_rate must be"),
        ({"model.width": 15}, "model.width 15 is not divisible by num_heads 2"),
        ({"model.image_size": [30, 32]}, "model"),
        ({"data.train_transforms": [{"type": "Mixup"}]}, "data.train_transforms[0].type must be one of"),
        ({"model.position.terms[0].sigma": -1.0}, "model.position.terms[0].sigma must be"),
        ({"seed": -1}, "seed must be in 0 .. 2^32 - 1, got -1"),
        ({"seed": 2**64}, "seed must fit in 64 bits"),
        ({"seed": None}, "seed must be an integer, got None"),
        (
            {"data.name": "ade20k", "data.targets": "masks"},
            "Classification learns from classes, but data.targets is masks",
        ),
    ],
)
def test_values_out_of_range_are_refused_with_their_key(changes: dict, expected: str):
    with pytest.raises(ConfigError) as caught:
        experiment.override(TINY, changes)
    assert str(caught.value).startswith(expected)


def test_a_detector_is_not_evaluated_by_the_metric_of_its_training():
    with pytest.raises(ConfigError, match=r"every evaluator to CocoMeasure\(\)"):
        dataclasses.replace(objects_config.get_config(), evaluators=(Evaluator(),))


def test_problems_of_different_parts_are_named_together():
    with pytest.raises(ConfigError, match="3 problems") as caught:
        experiment.override(TINY, {"training.batch_size": 0, "training.log_every": 0, "model.depth": "x"})
    assert "training.log_every" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "num_steps", "num_epochs"),
    [
        ({"training.num_epochs": "3"}, None, 3.0),
        ({"training.num_epochs": 3.0, "training.num_steps": None}, None, 3.0),
        ({"training.num_steps": "7"}, 7, None),
    ],
)
def test_a_length_in_epochs_takes_the_place_of_steps_and_the_other_way_round(changes, num_steps, num_epochs):
    for start in (TINY, experiment.override(TINY, {"training.num_epochs": 1.5})):
        training = experiment.override(start, changes).training
        assert (training.num_steps, training.num_epochs) == (num_steps, num_epochs)


def test_two_lengths_at_once_are_refused():
    with pytest.raises(ConfigError, match=r"training\.num_steps 7 and num_epochs 3\.0 are both given"):
        experiment.override(TINY, {"training.num_epochs": 3.0, "training.num_steps": 7})


def test_a_share_takes_the_place_of_steps_of_the_warmup():
    warmup = experiment.override(TINY, {"optimizer.schedule.warmup.share": "0.1"}).optimizer.schedule.warmup
    assert (warmup.share, warmup.steps) == (0.1, 0)
