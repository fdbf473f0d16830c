"""Evaluators and the choice of the best checkpoint refuse what cannot be measured."""

import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.tasks.assessment import Assessment
from gauss_vit.tasks.classification import Classification
from gauss_vit.tasks.evaluator import Best, Evaluator, check_evaluators, describe

NAMED = (Evaluator(), Evaluator(name="v2", data="imagenet_v2", split="test", every=100))


@pytest.mark.parametrize("name", ["", "train", "observe", "speed", "a/b", "a.b", "a b"])
def test_name_is_a_word_that_a_run_does_not_use(name: str):
    with pytest.raises(ConfigError, match="name must be letters"):
        Evaluator(name=name)


@pytest.mark.parametrize("every", [0, -1])
def test_period_is_at_least_one_step(every: int):
    with pytest.raises(ConfigError, match="every must be an integer >= 1 or None"):
        Evaluator(every=every)


@pytest.mark.parametrize("metric", ["top1", "/top1", "eval/", ""])
def test_best_metric_names_its_evaluator(metric: str):
    with pytest.raises(ConfigError, match="metric must be EVALUATOR/METRIC"):
        Best(metric=metric, mode="max")


def test_best_is_measured_by_an_evaluator():
    check_evaluators(NAMED, None)
    check_evaluators(NAMED, Best(metric="v2/top1", mode="max"))
    with pytest.raises(ConfigError, match="real/top1 is measured by no evaluator") as caught:
        check_evaluators(NAMED, Best(metric="real/top1", mode="max"))
    assert caught.value.do == "begin it with one of eval, v2"
    with pytest.raises(ConfigError, match="measured by no evaluator"):
        check_evaluators((), Best(metric="eval/top1", mode="max"))


def test_names_are_unique():
    with pytest.raises(ConfigError, match="different names, got eval, v2, eval"):
        check_evaluators((*NAMED, Evaluator(every=3)), None)


def test_the_tasks_own_metric_is_described_as_in_training_and_others_by_name():
    values = {"loss": 1.23456, "top1": 0.75, "num_examples": 8}
    assert describe(Evaluator(), Classification(), values) == "loss 1.23 top1 75.0 %"
    assessed = describe(Evaluator(measure=Assessment()), Classification(), values)
    assert assessed == "loss 1.235 top1 0.75 num_examples 8"
