"""The table of verbs: everything in it explains itself, and the defaults are values that the verbs can work with."""

from pathlib import Path

import pytest

from gauss_vit.analysis.protocol import PROTOCOLS
from gauss_vit.command_line import parsing
from gauss_vit.command_line.verb import Flag, Verb
from gauss_vit.commands.verbs import VERBS

FLAGS = [(verb, flag) for verb in VERBS.values() for flag in verb.flags]
NAMES = [f"{verb.name} --{flag.name}" for verb, flag in FLAGS]


def test_every_file_of_the_folder_is_a_verb():
    folder = Path(parsing.__file__).parent.parent / "commands"
    assert {path.stem for path in folder.glob("*.py")} == {*VERBS, "__init__"}


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_every_verb_explains_itself_in_a_line(verb: Verb):
    assert verb.module == f"gauss_vit.commands.{verb.name}"
    assert verb.summary and len(verb.summary) <= 100
    assert len(parsing.usage_line(verb)) <= 120
    assert ("--config" in verb.usage) >= (verb.config == "required")
    assert all(f"--{flag.name}" in verb.usage for flag in verb.flags if flag.required)


@pytest.mark.parametrize(("verb", "flag"), FLAGS, ids=NAMES)
def test_every_flag_explains_itself_in_a_sentence(verb: Verb, flag: Flag):
    assert flag.help.endswith(".")
    assert flag.help[0].isupper()


@pytest.mark.parametrize(("verb", "flag"), FLAGS, ids=NAMES)
def test_defaults_are_values_of_their_flags(verb: Verb, flag: Flag):
    if flag.type is bool:
        assert isinstance(flag.default, bool)
    elif flag.default is not None:
        assert flag.read(str(flag.default)) == flag.default


def test_no_verb_has_two_flags_of_one_name():
    for verb in VERBS.values():
        names = [flag.name for flag in verb.flags]
        assert len(set(names)) == len(names)


def test_protocols_are_those_of_the_analysis():
    (flag,) = (flag for flag in VERBS["erf"].flags if flag.name == "protocol")
    assert flag.choices == tuple(protocol.name for protocol in PROTOCOLS)
