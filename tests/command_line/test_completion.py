"""Completion: what bash offers, run by bash itself, and that zsh reads the same script."""

import subprocess

import pytest

from gauss_vit.command_line import completion
from gauss_vit.command_line.parsing import UsageError
from gauss_vit.commands.verbs import VERBS

ASK = """
_gauss_vit_model_names="vit_a vit_b swin_a"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_gauss_vit 2>/dev/null
printf '%s\\n' "${COMPREPLY[@]}"
"""
FOLDER = ["configs", "my runs", "weights.safetensors"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("files")
    (path / "configs").mkdir()
    (path / "configs" / "digits.py").touch()
    (path / "my runs").mkdir()
    (path / "weights.safetensors").touch()
    return path


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["e"], ["erf", "evaluate"]),
        (["comp"], ["compare", "completion"]),
        (["erf", "--proto"], ["--protocol="]),
        (["evaluate", "--b"], ["--best"]),
        (["erf", "--nob"], ["--nobands"]),
        (["compare", "--"], ["--format=", "--help", "--metrics=", "--out="]),
        (["--work"], ["--workdir="]),
        (["erf", "--protocol", "=", "r"], ["random_projection", "replknet"]),
        (["erf", "--fit", "="], ["bounded", "free"]),
        (["erf", "--fit=b"], ["--fit=bounded"]),
        (["erf", "--model", "=", "vit"], ["vit_a", "vit_b"]),
        (["show", "--config", "=", "configs/d"], ["configs/digits.py"]),
        (["--config=configs/d"], ["--config=configs/digits.py"]),
        (["erf", "--images", "="], ["configs", "my runs"]),
        (["erf", "--weights", "=", ""], FOLDER),
        (["compare", "w"], ["weights.safetensors"]),
        (["erf", "--seed", "=", ""], [""]),
    ],
)
def test_bash_offers_verbs_flags_choices_files_and_models(folder, words: list, offered: list):
    script = completion.script("bash", VERBS) + ASK
    done = subprocess.run(
        ["bash", "-c", script, "bash", "gauss-vit", *words], cwd=folder, capture_output=True, text=True, check=True
    )
    assert sorted(done.stdout.splitlines()) == offered


def test_every_flag_is_in_the_script():
    script = completion.script("bash", VERBS)
    for verb in VERBS.values():
        (line,) = [line for line in script.splitlines() if line.startswith(f"    {verb.name}) ")]
        assert all(f"--{flag.name}" in line or f"--no{flag.name}" in line for flag in verb.flags)
        assert ("--config=" in line) == (verb.config != "none")


def test_zsh_reads_the_script_of_bash():
    assert completion.script("zsh", VERBS).endswith(completion.script("bash", VERBS))
    assert "bashcompinit" in completion.script("zsh", VERBS)


@pytest.mark.parametrize("arguments", [[], ["fish"], ["bash", "zsh"]])
def test_other_shells_are_refused(arguments: list):
    with pytest.raises(UsageError, match="completion is written for bash or zsh"):
        completion.shell_of(arguments)
    assert completion.shell_of(["zsh"]) == "zsh"
