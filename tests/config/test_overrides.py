"""Overrides on the command line: which flags exist, how texts are read, and what cannot be changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pytest

from gauss_vit.command_line import parsing
from gauss_vit.command_line.verb import Verb
from gauss_vit.config import overrides, schema
from gauss_vit.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A part that may be missing or repeated."""

    width: int = 8
    rate: float | None = None


@dataclass(frozen=True, kw_only=True)
class File:
    """A part that cannot be made without arguments."""

    name: str
    size: int = 1
    inner: Layer | None = None


@dataclass(frozen=True, kw_only=True)
class Network:
    """A root with every kind of field."""

    size: tuple[int, int] = (2, 3)
    layers: tuple[Layer, ...] = (Layer(), Layer(width=4))
    head: Layer | None = Layer()
    tail: Layer | None = None
    file: File | None = None
    either: Layer | File | None = None
    name: str = "net"
    label: str | None = None
    is_deep: bool = False
    names: tuple[str, ...] = ()
    remat: Literal["none", "full"] = "full"


BUILD = Verb(name="build", summary="", usage="", module="", config="required", takes_arguments=True)


def changed(*arguments: str, network: Network | None = None) -> Network:
    return parse(arguments, network or Network())[0]


def parse(arguments: Sequence[str], network: Network) -> tuple[Network, list[str]]:
    line = parsing.parse(["build", "--config=F", *arguments], {"build": BUILD})
    return schema.conform(overrides.override(network, line.overrides), Network), list(line.arguments)


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("--config.size=32,64", Network(size=(32, 64))),
        ("--config.size=(32, 64)", Network(size=(32, 64))),
        ("--config.layers[1].width=5", Network(layers=(Layer(), Layer(width=5)))),
        ("--config.layers.1.width=5", Network(layers=(Layer(), Layer(width=5)))),
        ("--config.size[0]=5", Network(size=(5, 3))),
        ("--config.layers[0].rate=1e-3", Network(layers=(Layer(rate=1e-3), Layer(width=4)))),
        ("--config.layers=()", Network(layers=())),
        ("--config.layers=Layer", Network(layers=(Layer(),))),
        ("--config.layers=Layer,Layer", Network(layers=(Layer(), Layer()))),
        ("--config.head=None", Network(head=None)),
        ("--config.head.rate=2", Network(head=Layer(rate=2.0))),
        ("--config.tail=Layer", Network(tail=Layer())),
        ("--config.name=0032", Network(name="0032")),
        ("--config.name=train[:90%]", Network(name="train[:90%]")),
        ("--config.name=a=b", Network(name="a=b")),
        ("--config.label=None", Network(label=None)),
        ("--config.label=7", Network(label="7")),
        ("--config.names=.*bias", Network(names=(".*bias",))),
        ("--config.names=('a','b')", Network(names=("a", "b"))),
        ("--config.remat=none", Network(remat="none")),
        ("--config.is_deep", Network(is_deep=True)),
        ("--config.is_deep=true", Network(is_deep=True)),
        ("-config.name=x", Network(name="x")),
    ],
)
def test_texts_become_values_of_the_right_type(argument: str, expected: Network):
    assert changed(argument) == expected


def test_truth_values_can_be_switched_off():
    assert changed("--noconfig.is_deep", network=Network(is_deep=True)) == Network()


def test_value_may_follow_after_a_space_and_other_arguments_are_left():
    network, rest = parse(["--config.name", "x", "a.jpg"], Network())
    assert network == Network(name="x")
    assert rest == ["a.jpg"]


def test_arguments_behind_two_dashes_are_not_flags():
    network, rest = parse(["--", "--config.nome=x"], Network())
    assert network == Network()
    assert rest == ["--config.nome=x"]


def test_without_overrides_nothing_changes():
    assert changed() == Network()


def test_all_unknown_keys_are_named_with_the_nearest():
    with pytest.raises(ConfigError, match="2 problems") as caught:
        changed("--config.head.widht=3", "--config.nmae=x")
    assert "head.widht; did you mean head.width?" in str(caught.value)
    assert "nmae; did you mean name?" in str(caught.value)


def test_keys_below_a_missing_part_make_it_with_its_defaults():
    assert changed("--config.tail.width=3") == Network(tail=Layer(width=3))
    assert changed("--config.tail.rate=2", "--config.tail.width=3") == Network(tail=Layer(width=3, rate=2.0))


def test_a_missing_part_that_needs_more_says_what():
    with pytest.raises(schema.MismatchError, match=r"file\.name is missing"):
        changed("--config.file.size=3")
    assert changed("--config.file.name=x", "--config.file.inner.width=2") == Network(
        file=File(name="x", inner=Layer(width=2))
    )


def test_a_part_that_is_set_to_none_stays_so():
    assert changed("--config.tail=None") == Network()
    with pytest.raises(ConfigError, match=r"tail\.width is overridden, and so is the group"):
        changed("--config.tail=None", "--config.tail.width=3")


def test_a_part_is_replaced_before_its_keys_are_set():
    assert changed("--config.tail.rate=2", "--config.tail=Layer") == Network(tail=Layer(rate=2.0))
    expected = Network(either=Layer(width=3))
    assert changed("--config.either.width=3", "--config.either=Layer") == expected
    assert changed("--config.either.width=3", network=Network(either=Layer())) == expected


def test_key_below_what_may_be_one_of_several_says_that_it_is_missing():
    with pytest.raises(ConfigError, match=r"either is a single value here"):
        changed("--config.either.width=3")


def test_part_and_its_key_cannot_both_be_given():
    with pytest.raises(ConfigError, match=r"head\.width is overridden, and so is the group"):
        changed("--config.head=None", "--config.head.width=3")


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--config.head.width=8.5", "head.width must be an integer, got 8.5"),
        ("--config.head.width=", "head.width must be an integer, got ''"),
        ("--config.head.width=None", "head.width must be an integer, got None"),
        ("--config.head.rate=nan", "head.rate must be a number or None, got 'nan'"),
        ("--config.head=3", "head must be Layer(...) or None, got 3"),
        ("--config.size=1", "size must be a tuple of 2 integers, got [1]"),
    ],
)
def test_wrong_values_are_described(argument: str, message: str):
    with pytest.raises(schema.MismatchError) as caught:
        changed(argument)
    assert str(caught.value) == message


def test_all_wrong_values_are_described_at_once():
    with pytest.raises(schema.MismatchError) as caught:
        changed("--config.head.width=x", "--config.size=y")
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["--config..=3"],
        ["--config.[]=3"],
        ["--config.size[2]=3"],
        ["--config.size=1,2,3", "--config.size[2]=3"],
        ["--config.name=[1]", "--config.name[0]=3"],
        ["--config.layers=[1]", "--config.layers[0].width=3"],
        ["--config.head.width.x=3"],
        ["--config.either={'type':'Other'}", "--config.either.width=3"],
    ],
)
def test_keys_that_lead_nowhere_are_refused(arguments: list):
    with pytest.raises(ConfigError, match=r"unknown key|there is no"):
        changed(*arguments)


def test_deep_nesting_is_only_text():
    with pytest.raises(schema.MismatchError):
        changed("--config.head.width=" + "(" * 5000)
