"""Help of a config: every key is on the page, as it is typed, with a sentence, at any width."""

import json
import shlex
from pathlib import Path

import pytest

from gauss_vit import experiment
from gauss_vit.command_line.config_help import config_help
from gauss_vit.config import docs
from gauss_vit.config.keys import keys_of

CONFIGS = [str(path) for path in sorted(Path("configs").glob("*.py"))]
TINY = "tests/tiny_config.py"


def typed(page: str) -> dict[str, str]:
    """Values by key, as a shell would hand them over."""
    _, _, keys = page.partition("The keys of ")
    lines = [line.strip() for line in keys.splitlines() if line.strip().startswith("--config.")]
    words = [shlex.split(line)[0] for line in lines]
    return dict(word.removeprefix("--config.").split("=", 1) for word in words)


@pytest.mark.parametrize("source", [TINY, *CONFIGS])
def test_every_key_has_a_sentence_and_is_listed(source: str):
    keys = keys_of(experiment.load(source))
    assert [
        key.path for key in keys if key.owner is not None and not docs.attribute_docs(key.owner).get(key.name)
    ] == []
    assert set(typed(config_help(source, width=80))) == {key.path for key in keys}


@pytest.mark.parametrize("source", [TINY, *CONFIGS])
def test_values_on_the_page_are_those_of_the_file(source: str):
    config = experiment.load(source)
    keys = keys_of(config)
    absent = tuple(f"{key.path}." for key in keys if key.is_group and key.value is None)
    leaves = {key.path for key in keys if not key.is_group and not key.path.startswith(absent)}
    texts = {path: text for path, text in typed(config_help(source, width=80)).items() if path in leaves}
    assert experiment.override(config, texts) == config


@pytest.mark.parametrize("width", [60, 80, 120])
def test_sentences_fit_the_terminal(width: int):
    lines = config_help(TINY, width=width).splitlines()
    assert [line for line in lines if len(line) > width and not line.strip().startswith("--config.")] == []


def test_page_begins_with_what_the_file_says_of_itself():
    page = config_help("configs/digits_gauss.py", width=80)
    assert page.startswith("Handwritten digits")
    assert "  --config.training.num_steps=600  (integer or None)\n" in page
    assert config_help(TINY, width=200).splitlines()[0].startswith("A complete experiment")


def test_json_files_have_no_docstring(tmp_path: Path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(experiment.load(TINY).to_json()))
    assert config_help(str(path), width=200).splitlines()[1].startswith(f"The keys of {path}")
