"""Every command of docs/reproduce.md parses, its configs load, and it runs on small stand-ins for models, images, runs.

A training is stood in for by a run that was trained before; its config, with all that the command changes, is built.
"""

import dataclasses
import json
import re
import shlex
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gauss_vit import experiment
from gauss_vit import main as program
from gauss_vit.command_line import parsing
from gauss_vit.commands.verbs import VERBS
from gauss_vit.models.presets import PRESETS
from gauss_vit.position.absolute import AbsoluteEmbedding
from gauss_vit.position.position import Position
from gauss_vit.position.terms.relative import RelativeTable
from gauss_vit.position.terms.relative_mlp import RelativeMlp
from tests.drawing import undrawn
from tests.named_models import add_preset
from tests.tiny_config import MODEL

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "reproduce.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^gauss-vit (.+)$", PAGE, re.MULTILINE)
POSITIONS = {
    "vit_relpos": Position(terms=(RelativeMlp(hidden=8),)),
    "swin": Position(terms=(RelativeTable(),)),
    "vit": Position(absolute=AbsoluteEmbedding()),
}


def words_of(command: str) -> list[str]:
    return shlex.split(command)


def models_of(command: str) -> list[str]:
    return re.findall(r"--model=(\w+)", command) + re.findall(r"(?<= )((?:vit|swin|deit)\w+)(?==| |$)", command)


def standing_in(command: str) -> list[str]:
    """Returns a command without weights, whose models draw theirs, on a small image and at small sizes."""
    words = [re.sub(r"=WEIGHTS/\S+", "", word) for word in words_of(command) if not word.startswith("--weights=")]
    small = {"--image_sizes=224,384,512": "--image_sizes=32,48"}
    words = [small.get(word, word) for word in words]
    return [*words, "--nobands"] if words[0] == "erf" else words


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


@pytest.fixture
def place(tmp_path: Path, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with images and runs, and presets of the names that the page uses."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "IMAGENET" / "val" / "n01440764"
    folder.mkdir(parents=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(folder / "0.png")
    for name in {name for command in COMMANDS for name in models_of(command)}:
        kind = next(kind for kind in POSITIONS if name.startswith(kind))
        add_preset(monkeypatch, name, dataclasses.replace(MODEL, image_size=(32, 32), position=POSITIONS[kind]))
    for command in COMMANDS:
        for run in re.findall(r"train .*--workdir=(\S+)", command):
            (tmp_path / run).parent.mkdir(exist_ok=True)
            shutil.copytree(workdir, tmp_path / run, symlinks=True)
            (tmp_path / run / "checkpoints" / "best").unlink(missing_ok=True)
            (tmp_path / run / "checkpoints" / "best").symlink_to("4")
            config = json.loads((tmp_path / run / "config.json").read_text())
            if "none" in run:
                config["model"]["position"]["terms"] = []
            (tmp_path / run / "config.json").write_text(json.dumps(config))
    return tmp_path


def runs_on_stand_ins(commands: Iterable[str], capsys: pytest.CaptureFixture[str]) -> None:
    with undrawn():
        for command in commands:
            verb = words_of(command)[0]
            # The stand-in for a run without the Gaussian has its config alone.
            is_stood_in = verb == "train" or (verb == "evaluate" and "none" in command)
            if not is_stood_in:
                assert program.main(standing_in(command)) == 0, f"{command}\n{capsys.readouterr().err}"


def kinds_of(command: str) -> str:
    """A command without what makes no difference on stand-ins: which model of a kind it is, and where results go."""
    shown = re.sub(r"--(weights|out)=\S+|=WEIGHTS/\S+", "", command)
    return re.sub(r"(vit_relpos|vit|swin)_\w+", r"\1", shown)


@pytest.mark.full
def test_every_kind_of_command_runs_on_stand_ins(place: Path, capsys: pytest.CaptureFixture[str]):
    seen: Counter[str] = Counter()
    chosen = []
    for command in COMMANDS:
        seen[kinds_of(command)] += 1
        # Two maps are what compare needs.
        chosen += [command] if seen[kinds_of(command)] <= 2 else []
    runs_on_stand_ins(chosen, capsys)
    assert {path.name for path in (place / "results").iterdir()} >= {"table_1.csv", "table_s3.json", "table_4.md"}


@pytest.mark.full
def test_every_command_runs_on_stand_ins(place: Path, capsys: pytest.CaptureFixture[str]):
    runs_on_stand_ins(COMMANDS, capsys)
