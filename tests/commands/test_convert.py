"""Weights leave a run and enter one: the same numbers in other names, or an error and nothing written."""

import dataclasses
import json
import pickle
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file

from gauss_vit import main as program
from gauss_vit.assembly import named_model
from gauss_vit.models import presets
from gauss_vit.models.construct import abstract
from gauss_vit.position import RelativeMlp
from gauss_vit.position.gaussian import Gaussian
from gauss_vit.position.position import Position, without_terms
from gauss_vit.weights import naming
from gauss_vit.weights.bake import bake
from gauss_vit.weights.name_tables import timm_rules
from gauss_vit.weights.pretrained import load_weights
from gauss_vit.weights.safetensors_file import write
from tests.command_lines import invocation
from tests.models import deterministic
from tests.networks import classifier
from tests.tiny_config import FLAG as CONFIG
from tests.tiny_config import MODEL

STOCK = dataclasses.replace(MODEL, biases="none", layer_scale=0.5, position=Position(terms=(RelativeMlp(hidden=4),)))


@pytest.fixture(autouse=True)
def tiny_preset(monkeypatch: pytest.MonkeyPatch):
    """A preset that is built in no time."""
    monkeypatch.setattr(named_model, "PRESETS", {**presets.PRESETS, "vit_tiny": STOCK})


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A timm file for the tiny preset."""
    wanted = naming.expected(timm_rules(STOCK), abstract(classifier(STOCK, 1000))[1])
    write(tmp_path / "w.safetensors", {name: deterministic.tensor(name, each.shape) for name, each in wanted.items()})
    return tmp_path / "w.safetensors"


def logits_of(config, params):
    images = jnp.asarray(deterministic.image((2, *config.image_size, 3)))
    return jax.jit(nnx.merge(abstract(classifier(config, 10))[0], jax.tree.map(jnp.asarray, params)))(images)


def failed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    status = program.main(["convert", *arguments])
    return status, next(line for line in capsys.readouterr().err.splitlines() if "error[" in line)


def test_trained_gaussian_leaves_as_a_table_that_computes_the_same(
    workdir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "export" / "w.safetensors"
    assert program.main(["convert", f"--workdir={workdir}", "--to=timm", f"--out={out}"]) == 0
    assert "of step 4, gaussian baked into the tables" in capsys.readouterr().out
    named = named_model.trained(workdir)
    baked, _ = bake(named.config, named.params)
    assert load_file(out)["blocks.1.attn.rel_pos.relative_position_bias_table"].shape == (3 * 7, 2)
    exported = load_weights(out, classifier(baked, 10)).params
    np.testing.assert_allclose(logits_of(baked, exported), logits_of(named.config, named.params), atol=1e-6)


def test_file_to_run_to_file_is_bit_identical(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder, out = tmp_path / "run", tmp_path / "again.safetensors"
    assert program.main(["convert", f"--weights={weights}", "--model=vit_tiny", f"--workdir={folder}"]) == 0
    assert "weights in the names of timm" in capsys.readouterr().out
    assert program.main(["convert", f"--workdir={folder}", "--to=timm", f"--out={out}"]) == 0
    assert out.read_bytes() == weights.read_bytes()
    named = named_model.trained(folder)
    assert (named.step, named.config) == (0, STOCK)


def test_preset_with_weights_is_the_model_of_the_file(weights: Path, tmp_path: Path):
    arguments = ["position", "--out=O", "--model=vit_tiny", f"--weights={weights}"]
    named = named_model.named_model(invocation(arguments))
    np.testing.assert_array_equal(named.params["head"]["linear"]["bias"], deterministic.tensor("head.bias", (1000,)))
    with_bias = named_model.named_model(invocation([*arguments, "--gaussian"]))
    assert with_bias.name == "vit_tiny_gaussian"
    np.testing.assert_array_equal(
        with_bias.params["backbone"]["blocks"]["attention"]["bias"]["gaussian"]["sigma"], [[5.0], [5.0]]
    )
    assert program.main([*arguments[:1], f"--out={tmp_path / 'out'}", *arguments[2:]]) == 0
    assert (tmp_path / "out" / "vit_tiny_position.json").exists()


def test_training_goes_on_from_a_file(weights: Path, tmp_path: Path, data_flag: str):
    wanted = without_terms(MODEL, Gaussian)
    names = naming.expected(timm_rules(wanted), abstract(classifier(wanted, 10))[1])
    write(weights, {name: deterministic.tensor(name, each.shape) for name, each in names.items()})
    run = [CONFIG, data_flag, f"--workdir={tmp_path / 'run'}"]
    assert program.main(["convert", f"--weights={weights}", "--head=fresh", *run]) == 0
    assert program.main(["evaluate", f"--workdir={tmp_path / 'run'}"]) == 0
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text())["step"] == 0
    assert program.main(run) == 0
    trained = named_model.trained(tmp_path / "run")
    assert trained.step == 4
    # Four steps of 1e-3 leave the imported weights near where they were.
    kernel = deterministic.tensor("blocks.0.mlp.fc1.weight", (64, 16)).T
    np.testing.assert_allclose(trained.params["backbone"]["blocks"]["mlp"]["fc1"]["kernel"][0], kernel, atol=0.01)


@pytest.mark.parametrize(
    ("arguments", "status", "expected"),
    [
        ([], 2, "needs either --to=timm, to write a file, or --weights=F"),
        (["--to=timm", "--weights=F"], 2, "needs either --to=timm"),
        (["--to=timm", "--workdir=W"], 2, "convert needs --out"),
        (["--to=torch", "--workdir=W", "--out=F"], 2, "unknown weight format 'torch'"),
        (["--weights=F", "--workdir=W"], 2, "needs either --model=NAME or --config=FILE"),
        (["--weights=F", "--workdir=W", "--model=os:system"], 2, "unknown model 'os:system'"),
        (["--weights=/none", "--workdir=W", "--model=vit_tiny"], 4, "error[IMPORT]: there is no file /none"),
        (["--weights=F", "--workdir=W", "--model=vit_tiny", "--head=new"], 2, "--head must be file or fresh"),
        (["--weights=F", "--workdir=W", "--model=vit_tiny", "--source_grid=x"], 2, "expected a grid as HEIGHT,WIDTH"),
    ],
)
def test_wrong_commands_are_refused(arguments, status, expected, capsys: pytest.CaptureFixture[str]):
    found, line = failed(capsys, *arguments)
    assert found == status and expected in line
    assert not Path("W").exists()


def test_pickles_are_refused_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "w.pth").write_bytes(pickle.dumps({"head.bias": [0.0]}))
    folder = tmp_path / "run"
    status, line = failed(capsys, f"--weights={tmp_path / 'w.pth'}", "--model=vit_tiny", f"--workdir={folder}")
    assert status == 4 and "can run code" in line and "safetensors.torch.save_file" in line
    assert not folder.exists()


def test_workdir_that_holds_a_run_is_left_alone(weights: Path, workdir: Path, capsys: pytest.CaptureFixture[str]):
    status, line = failed(capsys, f"--weights={weights}", "--model=vit_tiny", f"--workdir={workdir}")
    assert status == 2 and "holds a run already" in line
    assert named_model.trained(workdir).step == 4
