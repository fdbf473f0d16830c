"""What of a config may change between two parts of a run."""

import copy
import json
from pathlib import Path

import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.train.workdir import resume
from gauss_vit.train.workdir.resume import Differences
from tests.train.states import flip_byte, save_steps

EXPERIMENT = {
    "model": {"depth": 2, "image_size": [32, 48], "position": None, "compute": {"dtype": "float32"}},
    "optimizer": {"rule": {"type": "AdamW"}, "learning_rate": 0.001},
    "data": {"name": "digits", "data_dir": "/data", "num_threads": 4},
    "mesh": {"data": -1, "fsdp": 1},
    "limits": {"step": 300.0},
    "training": {
        "batch_size": 8,
        "num_steps": 40,
        "log_every": 5,
        "eval_batch_size": 8,
        "checkpoint_every": 5,
        "observe_every": None,
        "keep_checkpoints": 2,
        "best": None,
        "accumulate": 1,
    },
    "seed": 0,
}


def changed(path: str, value: object) -> dict:
    experiment = copy.deepcopy(EXPERIMENT)
    *folders, name = path.split(".")
    place = experiment
    for folder in folders:
        place = place[folder]
    place[name] = value
    return experiment


def test_same_experiment_has_no_difference():
    differences = resume.compare(EXPERIMENT, copy.deepcopy(EXPERIMENT))
    assert differences == Differences()
    resume.require_same_run(differences)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("training.log_every", 1),
        ("training.checkpoint_every", 1),
        ("training.observe_every", 3),
        ("training.eval_batch_size", 4),
        ("training.keep_checkpoints", 9),
        ("training.keep_every", 1000),
        ("training.accumulate", 2),
        ("training.best", {"metric": "eval/top1", "mode": "max"}),
        ("data.data_dir", "/other"),
        ("data.num_threads", 0),
        ("model.compute.kernel", "rows"),
        ("model.compute.remat", "full"),
        ("model.compute.unroll", None),
        ("model.compute.platform", "gpu"),
        ("mesh.fsdp", 4),
        ("mesh.data", 2),
        ("limits.step", 60.0),
        ("training.num_steps", 80),
    ],
)
def test_what_does_not_change_the_learning_may_change_and_is_noted(path: str, value: object):
    differences = resume.compare(EXPERIMENT, changed(path, value))
    resume.require_same_run(differences)
    assert differences.allowed and all(note.split(":")[0].startswith(path) for note in differences.allowed)


def test_micro_batches_change_what_a_detector_learns():
    task = {"task": {"type": "Detection"}}
    differences = resume.compare(EXPERIMENT | task, changed("training.accumulate", 2) | task)
    assert differences == Differences(learned=("training.accumulate: 1 -> 2",))


def with_evaluators(*evaluators: dict) -> dict:
    return {**EXPERIMENT, "evaluators": list(evaluators)}


def test_evaluators_may_come_and_go_and_change_their_period():
    old = with_evaluators({"name": "eval", "every": 5, "split": None})
    new = with_evaluators({"name": "test", "every": None, "split": "test"}, {"name": "eval", "every": 9, "split": None})
    assert resume.compare(old, new).allowed == (
        "evaluators.eval.every: 5 -> 9",
        "evaluators.test.every: absent -> null",
        'evaluators.test.name: absent -> "test"',
        'evaluators.test.split: absent -> "test"',
    )
    assert len(resume.compare(new, old).allowed) == 4


def test_evaluator_of_one_name_always_measures_the_same():
    old, new = ({"name": "eval", "every": 5, "split": split} for split in (None, "test"))
    with pytest.raises(ConfigError, match=r'evaluators\.eval\.split: null -> "test"'):
        resume.require_same_run(resume.compare(with_evaluators(old), with_evaluators(new)))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("seed", 1),
        ("optimizer.learning_rate", 0.01),
        ("model.depth", 3),
        ("training.batch_size", 16),
        ("training.num_steps", 20),
        ("data.name", "cifar10"),
        ("model.image_size", [48, 32]),
        ("model.position", {"terms": []}),
        ("optimizer.rule.type", "SGD"),
    ],
)
def test_what_changes_the_learning_is_refused(path: str, value: object):
    with pytest.raises(ConfigError, match=path.replace(".", r"\.")) as caught:
        resume.require_same_run(resume.compare(EXPERIMENT, changed(path, value)))
    assert "--resume=override" in caught.value.do
    assert caught.value.code == "RESUME-CONFIG"


def test_every_difference_is_named_with_both_values():
    other = changed("seed", 1)
    other["extra"] = {"key": True}
    del other["model"]["depth"]
    with pytest.raises(ConfigError, match=r"extra.key: absent -> true; model.depth: 2 -> absent; seed: 0 -> 1"):
        resume.require_same_run(resume.compare(EXPERIMENT, other))


def test_both_kinds_of_differences_are_told_apart():
    other = changed("seed", 1)
    other["training"]["log_every"] = 1
    differences = resume.compare(EXPERIMENT, other)
    assert (differences.allowed, differences.learned) == (("training.log_every: 5 -> 1",), ("seed: 0 -> 1",))


def test_fresh_workdir_has_no_experiment(tmp_path: Path):
    assert resume.recorded_experiment(tmp_path) is None


def test_experiment_is_read_from_the_config_or_else_from_a_checkpoint(tmp_path: Path):
    save_steps(tmp_path, 5, 10)
    assert resume.recorded_experiment(tmp_path) == {"seed": 3}
    flip_byte(tmp_path / "checkpoints" / "10" / "meta" / "metadata")
    assert resume.recorded_experiment(tmp_path) == {"seed": 3}
    (tmp_path / "config.json").write_text(json.dumps(EXPERIMENT))
    assert resume.recorded_experiment(tmp_path) == EXPERIMENT
    (tmp_path / "config.json").write_text("{torn")
    assert resume.recorded_experiment(tmp_path) == {"seed": 3}
