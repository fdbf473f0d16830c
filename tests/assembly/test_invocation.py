"""Invocations: flags as the types that verbs need, and errors that name what is missing."""

from pathlib import Path

import pytest

from gauss_vit.assembly.invocation import Invocation, say, warn
from gauss_vit.errors import ConfigError
from tests.tiny_config import get_config

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


def test_results_and_warnings_go_to_different_streams(capsys: pytest.CaptureFixture[str]):
    say("result")
    warn("careful")
    assert capsys.readouterr() == ("result\n", "gauss_vit: warning: careful\n")
