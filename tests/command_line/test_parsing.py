"""Command lines of a toy table: values of the right type, and one sentence for everything that is wrong."""

import pytest

from gauss_vit.command_line import parsing
from gauss_vit.command_line.parsing import UsageError
from gauss_vit.command_line.verb import Flag, Verb

BAKE = Verb(
    name="bake",
    summary="bakes a cake",
    usage="--tin=FILE",
    module="",
    config="optional",
    flags=(
        Flag(name="tin", help="Tin.", required=True),
        Flag(name="minutes", type=int, default=40, lowest=1, help="Time in the oven."),
        Flag(name="warmth", type=float, default=0.5, lowest=0.0, highest=1.0, help="Of the oven."),
        Flag(name="salt", type=float, help="Salt."),
        Flag(name="icing", type=bool, default=True, help="With icing."),
        Flag(name="shape", choices=("round", "square"), help="Shape."),
    ),
)
EAT = Verb(name="eat", summary="eats cakes", usage="CAKE ...", module="", takes_arguments=True)
VERBS = {"bake": BAKE, "eat": EAT}
DEFAULTS = {"tin": "t", "minutes": 40, "warmth": 0.5, "salt": None, "icing": True, "shape": None}


def options(*arguments: str) -> dict:
    return dict(parsing.parse(["bake", "--tin=t", *arguments], VERBS).options)


def refusal(*arguments: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        parsing.parse(arguments, VERBS)
    return caught.value


@pytest.mark.parametrize(
    ("arguments", "changed"),
    [
        ([], {}),
        (["--minutes=5"], {"minutes": 5}),
        (["--minutes", "5"], {"minutes": 5}),
        (["-minutes", "5"], {"minutes": 5}),
        (["--warmth=1"], {"warmth": 1.0}),
        (["--salt=-3"], {"salt": -3.0}),
        (["--noicing"], {"icing": False}),
        (["--icing=false"], {"icing": False}),
        (["--shape=round"], {"shape": "round"}),
    ],
)
def test_texts_become_values_of_the_flags_types(arguments: list, changed: dict):
    assert options(*arguments) == DEFAULTS | changed
    assert all(type(value) is type((DEFAULTS | changed)[name]) for name, value in options(*arguments).items())


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--minutes=0", "--minutes must be an integer >= 1, got '0'"),
        ("--minutes=abc", "--minutes must be an integer >= 1, got 'abc'"),
        ("--minutes=1.5", "--minutes must be an integer >= 1, got '1.5'"),
        ("--warmth=2", "--warmth must be a number from 0 to 1, got '2'"),
        ("--warmth=nan", "--warmth must be a number from 0 to 1, got 'nan'"),
        ("--salt=x", "--salt must be a number, got 'x'"),
        ("--salt=nan", "--salt must be a number, got 'nan'"),
        ("--shape=triangle", "--shape must be round or square, got 'triangle'"),
        ("--icing=maybe", "--icing must be true or false, got 'maybe'"),
        ("--flagfile=/etc/passwd", "unknown flag --flagfile"),
        ("--undefok=altitude", "unknown flag --undefok"),
        ("--minuts=3", "unknown flag --minuts; did you mean --minutes?"),
        ("--altitude=3", "unknown flag --altitude"),
        ("--minutes", "Missing value for flag --minutes"),
        ("--config", "Missing value for flag --config"),
        ("--noicin", "unknown flag --noicin; did you mean --noicing?"),
        ("--config.a=3", "--config.a needs a config to change"),
        ("--config.=3", "unknown flag --config."),
        ("raisins", "unexpected argument 'raisins'"),
    ],
)
def test_what_is_wrong_is_said_with_the_usage_of_the_verb(argument: str, message: str):
    error = refusal("bake", "--tin=t", argument)
    assert error.message == message
    assert error.usage == "usage: gauss-vit bake --tin=FILE"


def test_what_a_verb_needs_is_said():
    assert refusal("bake").message == "bake needs --tin"
    needy = Verb(name="show", summary="", usage="", module="", config="required")
    with pytest.raises(UsageError, match="show needs --config"):
        parsing.parse(["show"], {"show": needy})


def test_switch_can_waive_what_a_verb_needs():
    tin = Flag(name="tin", value="FILE", help="Tin.", required=True, waived_by="bare")
    bare = Flag(name="bare", type=bool, default=False, help="Without a tin.")
    verbs = {"bake": Verb(name="bake", summary="", usage="", module="", flags=(tin, bare))}
    assert parsing.parse(["bake", "--bare"], verbs).options == {"tin": None, "bare": True}
    with pytest.raises(UsageError, match="bake needs --tin DO: add --tin=FILE, or --bare to try it"):
        parsing.parse(["bake"], verbs)


def test_first_verb_is_the_default():
    assert parsing.parse(["--tin=t"], VERBS).verb == "bake"
    assert refusal("--tin=t", "eat").message == "unexpected argument 'eat'"


@pytest.mark.parametrize("flag", ["--minutes", "--config", "-minutes"])
def test_a_flag_is_not_the_value_of_the_flag_before(flag: str):
    assert refusal("bake", flag, "--tin=t").message == f"Missing value for flag --{flag.lstrip('-')}"
    assert options("--salt", "-3")["salt"] == -3.0


def test_words_behind_two_dashes_are_arguments():
    line = parsing.parse(["eat", "a", "--", "--config.b=3", "--tin"], VERBS)
    assert line.arguments == ("a", "--config.b=3", "--tin")
    assert line.overrides == {}


@pytest.mark.parametrize(
    ("arguments", "overrides"),
    [
        ([], {}),
        (["--config.a.b=3", "--config.c", "4"], {"a.b": "3", "c": "4"}),
        (["--config.a=", "--config.b=c=d"], {"a": "", "b": "c=d"}),
        (["--config.terms[0].sigma=-1"], {"terms[0].sigma": "-1"}),
        (["--config.a", "--config.b"], {"a": True, "b": True}),
        (["--noconfig.a", "--config.b", "-3.5"], {"a": False, "b": "-3.5"}),
    ],
)
def test_overrides_stay_texts_until_the_config_says_more(arguments: list, overrides: dict):
    line = parsing.parse(["bake", "--config=F:x", "--tin=t", *arguments], VERBS)
    assert (line.config, line.overrides) == ("F:x", overrides)


@pytest.mark.parametrize("config", [["--config=F"], ["--config", "F"]])
def test_flag_that_resembles_none_may_be_a_key_of_the_config(config: list):
    assert (
        refusal("bake", *config, "--altitude=3").do
        == "write a key of the config as --config.KEY=VALUE; --help lists them"
    )
    assert refusal("bake", *config, "--minuts=3").do == "", "the verb's own flag was meant"
    assert refusal("bake", "--altitude=3").do == ""
