"""Invocations: flags as the types that verbs need, and errors that name what is missing."""

from pathlib import Path

import pytest

from gauss_vit.command_line.invocation import Invocation
from gauss_vit.errors import ConfigError
from tests.command_lines import invocation
from tests.tiny_config import get_config

CONFIG = "--config=tests/tiny_config.py"
INVOCATION = Invocation(
    verb="erf",
    experiment=None,
    options={"out": "~/results", "max_images": 3, "gaussian": True, "model": None},
    arguments=(),
)


def test_flags_come_as_the_types_that_verbs_need():
    assert INVOCATION.text("out") == "~/results"
    assert INVOCATION.path("out") == Path.home() / "results"
    assert INVOCATION.integer("max_images") == 3
    assert INVOCATION.integer("model") is None
    assert INVOCATION.switch("gaussian")
    assert not INVOCATION.switch("model")
    assert INVOCATION.is_given("out") and not INVOCATION.is_given("model")


def test_missing_flag_is_named():
    with pytest.raises(ConfigError, match=r"erf needs --model DO: add --model=\.\.\."):
        INVOCATION.text("model")


def test_missing_config_is_named():
    with pytest.raises(ConfigError, match="erf needs --config"):
        INVOCATION.required_experiment()


def test_flag_that_the_verb_does_not_declare_is_a_bug():
    with pytest.raises(KeyError):
        INVOCATION.text("undeclared")


def test_experiment_is_handed_on():
    given = Invocation(verb="show", experiment=get_config(), options={}, arguments=())
    assert given.required_experiment() == get_config()


def test_config_and_overrides_become_an_experiment():
    given = invocation(["--workdir=W", CONFIG, "--config.seed=3", "--config.model.position.terms[0].sigma", "2"])
    assert given.verb == "train"
    assert given.required_experiment().seed == 3
    assert given.required_experiment().model.position.terms[0].sigma == 2.0
    assert given.path("workdir") == Path("W")


def test_order_of_flags_does_not_matter():
    first = invocation(["show", "--config.seed=3", "--mesh=8", CONFIG])
    second = invocation(["show", CONFIG, "--mesh", "8", "--config.seed=3"])
    assert first == second
    assert first.integer("mesh") == 8


def test_config_may_follow_after_a_space():
    assert invocation(["show", "--config", "tests/tiny_config.py"]).experiment == get_config()
