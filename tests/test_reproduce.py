"""Every command of docs/reproduce.md parses and names models that there are, and every experiment in it is built."""

import re
import shlex
from pathlib import Path

import pytest

from gauss_vit import experiment
from gauss_vit.command_line import parsing
from gauss_vit.commands.verbs import VERBS
from gauss_vit.models.presets import PRESETS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "reproduce.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^gauss-vit (.+)$", PAGE, re.MULTILINE)


def words_of(command: str) -> list[str]:
    return shlex.split(command)


def models_of(command: str) -> list[str]:
    return re.findall(r"--model=(\w+)", command) + re.findall(r"(?<= )((?:vit|swin|deit)\w+)(?==| |$)", command)


def test_the_page_has_commands_for_all_that_is_measured():
    tables = {words_of(command)[1] for command in COMMANDS if command.startswith("table ")}
    assert tables == {"1", "2", "3", "4", "s1", "s2", "s3", "s4"}
    outs = " ".join(COMMANDS)
    assert all(f"results/figure_{figure}" in outs for figure in ("1", "2", "4", "5", "s5"))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_parses_and_names_models_that_there_are(command: str):
    assert parsing.parse(words_of(command), VERBS).verb in VERBS
    assert set(models_of(command)) <= set(PRESETS)


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("train ")])
def test_every_experiment_is_one(command: str):
    line = parsing.parse(words_of(command), VERBS)
    made = experiment.override(experiment.load(f"{ROOT}/{line.config}"), line.overrides)
    assert made.to_json()
