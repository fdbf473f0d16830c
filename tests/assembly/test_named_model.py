"""Models named on the command line: presets with fresh parameters, and runs with their newest checkpoint."""

import shutil
from pathlib import Path

import chex
import jax
import numpy as np
import pytest
from flax import nnx

from gauss_vit.assembly import named_model
from gauss_vit.errors import CheckpointError, ConfigError
from gauss_vit.position import Gaussian, without_terms
from tests.command_lines import invocation
from tests.named_models import add_preset
from tests.tiny_config import MODEL, get_config


@pytest.fixture(autouse=True)
def tiny_preset(monkeypatch: pytest.MonkeyPatch):
    """A preset that is built in no time."""
    add_preset(monkeypatch, "vit_tiny", MODEL)


def named(*arguments: str) -> named_model.NamedModel:
    return named_model.named_model(invocation(["position", "--out=O", *arguments]))


def test_preset_has_fresh_parameters_that_repeat():
    first, second = named("--model=vit_tiny"), named("--model=vit_tiny")
    assert first.name == "vit_tiny" and first.step == 0
    chex.assert_trees_all_equal(first.params, second.params)


def test_gaussian_is_added_to_a_preset_and_to_its_name(monkeypatch: pytest.MonkeyPatch):
    add_preset(monkeypatch, "vit_plain", without_terms(MODEL, Gaussian))
    assert named("--model=vit_plain").config.position.terms == ()
    with_bias = named("--model=vit_plain", "--gaussian")
    assert with_bias.name == "vit_plain_gaussian"
    assert "gaussian" in with_bias.params["backbone"]["blocks"]["attention"]["bias"]


def test_run_gives_the_parameters_of_its_newest_checkpoint(workdir: Path):
    trained = named(f"--workdir={workdir}")
    assert (trained.name, trained.step, trained.config) == ("tiny", 4, get_config().model)
    assert trained.transform == get_config().data.eval_transform
    images = jax.numpy.zeros((1, *trained.config.image_size, 3), np.float32)
    logits = nnx.merge(trained.graph, trained.params)(images)
    assert logits.shape == (1, 10) and bool(np.isfinite(logits).all())


def test_damaged_checkpoint_is_passed_over_with_a_warning(
    workdir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    copy = tmp_path / "run"
    shutil.copytree(workdir, copy)
    (copy / "checkpoints" / "4" / "meta" / "metadata").write_text("{}")
    assert named(f"--workdir={copy}").step == 2
    assert "checkpoint 4 does not verify" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "needs either --workdir=W or --model=NAME"),
        (["--workdir=W", "--model=vit_tiny"], "needs either --workdir=W or --model=NAME"),
        (["--workdir=W", "--gaussian"], "--gaussian changes a preset"),
        (["--model=vit_tny"], "unknown model 'vit_tny' DO: try vit_tiny"),
        (["--workdir=/nonexistent"], "/nonexistent does not contain a run"),
    ],
)
def test_names_that_lead_nowhere_are_refused(arguments: list, expected: str):
    with pytest.raises(ConfigError) as caught:
        named(*arguments)
    assert expected in str(caught.value)


def test_run_without_valid_checkpoint_is_refused(workdir: Path, tmp_path: Path):
    (tmp_path / "config.json").write_text((workdir / "config.json").read_text())
    with pytest.raises(CheckpointError):
        named(f"--workdir={tmp_path}")
