"""A study as a value: what it refuses, and the study files of the project."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from gauss_vit import experiment as experiments
from gauss_vit.errors import ConfigError
from gauss_vit.models.construct import abstract
from gauss_vit.position import Gaussian
from gauss_vit.studies import study as studies
from gauss_vit.studies.expected_time import plan_lines
from gauss_vit.studies.plan import make_plan
from gauss_vit.studies.study import Arm, Study
from gauss_vit.train.optim.lr_scale import trainable_mask
from gauss_vit.tree import flatten_paths

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "configs" / "studies").glob("*.py"))
TINY = Study(title="T", arms=(Arm(name="a"), Arm(name="b")), seeds=(0, 1), baseline="a", hours_per_run=1.0)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"arms": ()}, "needs arms"),
        ({"arms": (Arm(name="a"), Arm(name="a"))}, "needs arms, each once"),
        ({"seeds": (1, 1)}, "needs seeds, each once"),
        ({"seeds": (-1,)}, "seeds must be in"),
        ({"baseline": "c"}, "is not an arm"),
        ({"hours_per_run": 0.0}, "hours_per_run must be above 0"),
    ],
)
def test_studies_that_cannot_be_run_are_refused(changes: dict, complaint: str):
    with pytest.raises(ConfigError, match=complaint):
        dataclasses.replace(TINY, **changes)


@pytest.mark.parametrize(("name", "value"), [("unit", "percent"), ("weights", "average")])
def test_words_that_a_study_does_not_know_are_refused(name: str, value: str):
    other = dataclasses.replace(TINY)
    # Past the check of types, which is there in tests alone.
    object.__setattr__(other, name, value)
    with pytest.raises(ConfigError, match=f"{name} must be one of"):
        other.__post_init__()


@pytest.mark.parametrize("name", ["", "a/b", "..", "study", "-x", "a\x1b[2J"])
def test_name_of_an_arm_is_that_of_a_folder(name: str):
    with pytest.raises(ConfigError, match="name of an arm"):
        Arm(name=name)


def test_source_with_an_argument_is_no_study():
    with pytest.raises(ConfigError, match="names one experiment"):
        studies.load("configs/studies/digits.py:gauss")


def test_config_without_a_study_is_told_so():
    with pytest.raises(ConfigError, match="there is no function get_study"):
        studies.load(str(ROOT / "configs" / "digits_gauss.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_arms_of_a_study_file_differ_in_the_model_or_the_start_alone(path: Path):
    study = studies.load(str(path))
    found = [experiments.load(f"{path}:{arm.config_argument}") for arm in study.arms]
    assert len({experiment.to_json().__repr__() for experiment in found}) == len(found)
    plain = [dataclasses.replace(experiment, model=found[0].model, start=None) for experiment in found]
    assert all(experiment == plain[0] for experiment in plain)
    assert experiments.load(str(path)) in found
    assert all(experiments.from_json(experiment.to_json()) == experiment for experiment in found)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_runs_of_a_study_file_are_planned_with_their_hours(path: Path, tmp_path: Path):
    plan = make_plan(str(path), overrides={"training.num_steps": "2"}, workdir=tmp_path)
    lines = plan_lines(plan)
    assert len(plan.runs) == len(plan.study.arms) * len(plan.study.seeds)
    assert sum(line.lstrip()[:1].isdigit() for line in lines) == len(plan.runs)
    assert f"{plan.study.hours_per_run * len(plan.runs):.2f} hours" in lines[-2]
    assert not list(tmp_path.iterdir())


def test_frozen_features_train_the_head_alone():
    experiment = experiments.load(str(ROOT / "configs" / "studies" / "frozen_features.py"))
    scale, params = experiment.optimizer.learning_rate_scale, abstract(experiment.network)[1]
    is_trained = flatten_paths(trainable_mask(scale, params))
    assert {path for path, trained in is_trained.items() if trained} == {
        "head.classifier.kernel",
        "head.classifier.bias",
    }


def test_frozen_features_are_those_of_the_priors():
    frozen, priors = (ROOT / "configs" / "studies" / name for name in ("frozen_features.py", "priors.py"))
    for arm in ("none", "gauss"):
        assert experiments.load(f"{frozen}:{arm}").model == experiments.load(f"{priors}:{arm}").model


def test_sigma_starts_equally_wide_in_either_unit():
    path = ROOT / "configs" / "studies" / "sigma_unit.py"
    for arm in ("patch", "image"):
        model = experiments.load(f"{path}:{arm}").model
        (gaussian,) = (term for term in model.position.terms if isinstance(term, Gaussian))
        down, across = gaussian.widths({"sigma": np.float32([[gaussian.sigma]])}, model.grid)
        assert down.item() == across.item() == 3.0, arm


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_study_file_records_how_it_is_run_and_what_came_of_it(path: Path):
    text = path.read_text(encoding="utf-8")
    assert all(f"\n{word} " in text for word in ("Command:", "Expected:", "Measured:"))
