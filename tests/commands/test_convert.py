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
from jax import export
from safetensors.numpy import load_file

from gauss_vit import main as program
from gauss_vit.assembly import feeds, named_model
from gauss_vit.assembly.evaluation_data import open_source
from gauss_vit.assembly.selection import Selection
from gauss_vit.models.construct import abstract
from gauss_vit.position import RelativeMlp
from gauss_vit.position.position import Position, without_terms
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.position.terms.relative import RelativeTable
from gauss_vit.trained_on import UNKNOWN
from gauss_vit.weights.bake import bake
from gauss_vit.weights.names import naming
from gauss_vit.weights.names.name_tables import timm_rules
from gauss_vit.weights.pretrained import load_weights
from gauss_vit.weights.safetensors_file import open_weights, write
from tests.command_lines import invocation
from tests.drawing import undrawn
from tests.models import deterministic
from tests.named_models import add_preset
from tests.networks import classifier
from tests.tiny_config import FLAG as CONFIG
from tests.tiny_config import MODEL, ONE_DEVICE

STOCK = dataclasses.replace(MODEL, biases="none", layer_scale=0.5, position=Position(terms=(RelativeMlp(hidden=4),)))


@pytest.fixture(autouse=True)
def tiny_preset(monkeypatch: pytest.MonkeyPatch):
    """A preset that is built in no time."""
    add_preset(monkeypatch, "vit_tiny", STOCK)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A timm file for the tiny preset."""
    wanted = naming.expected(timm_rules(classifier(STOCK)), abstract(classifier(STOCK, 1000))[1])
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
    written, given = load_file(out), load_file(weights)
    assert list(written) == list(given)
    jax.tree.map(np.testing.assert_array_equal, written, given)
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
    names = naming.expected(timm_rules(classifier(wanted)), abstract(classifier(wanted, 10))[1])
    write(weights, {name: deterministic.tensor(name, each.shape) for name, each in names.items()})
    run = [CONFIG, data_flag, ONE_DEVICE, f"--workdir={tmp_path / 'run'}"]
    assert program.main(["convert", f"--weights={weights}", "--head=fresh", *run]) == 0
    with undrawn():
        assert program.main(["evaluate", f"--workdir={tmp_path / 'run'}"]) == 0
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text())["step"] == 0
    assert program.main(run) == 0
    trained = named_model.trained(tmp_path / "run")
    assert trained.step == 4
    # Four steps of 1e-3 leave the imported weights near where they were.
    kernel = deterministic.tensor("blocks.0.mlp.fc1.weight", (64, 16)).T
    np.testing.assert_allclose(trained.params["backbone"]["blocks"]["mlp"]["fc1"]["kernel"][0], kernel, atol=0.01)


TABLES = dataclasses.replace(MODEL, position=Position(terms=(RelativeMlp(hidden=4),)))


def test_a_gaussian_that_was_baked_comes_back_as_a_term(
    workdir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    add_preset(monkeypatch, "vit_tables", TABLES)
    out, back = tmp_path / "w.safetensors", tmp_path / "back"
    assert program.main(["convert", f"--workdir={workdir}", "--to=timm", f"--out={out}"]) == 0
    arguments = ["convert", f"--weights={out}", "--head=fresh", "--model=vit_tables", "--unbake", f"--workdir={back}"]
    assert program.main(arguments) == 0
    assert "the Gaussian is split off as it was baked" in capsys.readouterr().out
    before, after = named_model.trained(workdir), named_model.trained(back)
    assert [type(term).__name__ for term in after.config.position.terms] == ["RelativeTable", "Gaussian"]
    bias = "blocks", "attention", "bias", "gaussian"
    known, found = (named.params["backbone"] for named in (before, after))
    for key in bias:
        known, found = known[key], found[key]
    jax.tree.map(np.testing.assert_array_equal, dict(found), dict(known))
    # Equal features: only the head is fresh.
    head = {"head": before.params["head"]}
    np.testing.assert_allclose(
        logits_of(after.config, {**after.params, **head}), logits_of(before.config, before.params), atol=1e-6
    )


def test_a_table_of_others_gets_a_fitted_gaussian_and_says_so(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    add_preset(monkeypatch, "vit_tables", TABLES)
    baked = dataclasses.replace(TABLES, position=Position(terms=(RelativeTable(),)))
    names = naming.expected(timm_rules(classifier(baked)), abstract(classifier(baked, 1000))[1])
    write(weights, {name: deterministic.tensor(name, each.shape) for name, each in names.items()})
    arguments = ["convert", f"--weights={weights}", "--model=vit_tables", "--unbake", "--source_grid=2,4"]
    assert program.main([*arguments, f"--workdir={tmp_path / 'run'}"]) == 0
    out = capsys.readouterr().out
    assert "does not say which Gaussian was baked into it: one is fitted to every block" in out
    split = named_model.trained(tmp_path / "run")
    given = load_weights(weights, classifier(baked, 1000), source_grid=(2, 4))
    whole, _ = bake(split.config, split.params)
    assert whole == baked
    np.testing.assert_allclose(
        bake(split.config, split.params)[1]["backbone"]["blocks"]["attention"]["bias"]["relative"]["table"],
        given.params["backbone"]["blocks"]["attention"]["bias"]["relative"]["table"],
        atol=1e-5,
    )


@pytest.fixture(scope="module")
def averaged_run(tmp_path_factory: pytest.TempPathFactory, data_flag: str) -> Path:
    """A run with a moving average, whose best checkpoint is not the newest."""
    folder = tmp_path_factory.mktemp("runs") / "averaged"
    flags = [
        "--config.training.best.metric=eval/num_examples",
        "--config.training.best.mode=max",
        "--config.evaluators[0].every=2",
        "--config.training.ema_decay=0.9",
    ]
    assert program.main([CONFIG, data_flag, f"--workdir={folder}", ONE_DEVICE, *flags]) == 0
    return folder


def test_exported_average_has_the_top1_of_evaluate_ema(averaged_run: Path, tmp_path: Path):
    run, out = named_model.run_experiment(averaged_run), tmp_path / "w.safetensors"
    with undrawn():
        assert program.main(["evaluate", f"--workdir={averaged_run}", "--ema"]) == 0
    measured = json.loads((averaged_run / "evaluation.json").read_text())
    assert program.main(["convert", f"--workdir={averaged_run}", "--ema", "--to=timm", f"--out={out}"]) == 0
    averaged = named_model.trained(averaged_run, chosen=Selection(which="ema"))
    baked, _ = bake(averaged.config, averaged.params)
    params = jax.tree.map(jnp.asarray, load_weights(out, classifier(baked, 10)).params)
    model = jax.jit(nnx.merge(abstract(classifier(baked, 10))[0], params))
    num_right, loss = 0, 0.0
    for batch in feeds.eval_batches(run, open_source(run, None, trained_on=UNKNOWN), batch_size=50):
        log_probabilities = jax.nn.log_softmax(model(run.normalization(jnp.asarray(batch.image))))
        label = np.asarray(batch.targets.label)
        num_right += int(np.sum((np.argmax(log_probabilities, axis=-1) == label) & batch.is_real))
        loss -= float(np.sum(np.asarray(log_probabilities)[np.arange(50), label] * batch.is_real))
    assert num_right / 50 == pytest.approx(measured["top1"])
    # Baking adds the Gaussian in another order.
    assert loss / 50 == pytest.approx(measured["loss"], rel=1e-5)
    newest = named_model.trained(averaged_run)
    assert not np.allclose(newest.params["head"]["linear"]["kernel"], averaged.params["head"]["linear"]["kernel"])


@pytest.mark.parametrize(("flags", "name", "step"), [([], "", 4), (["--best"], "_best", 2), (["--ema"], "_ema", 4)])
def test_named_run_takes_the_chosen_weights(flags: list[str], name: str, step: int, averaged_run: Path):
    named = named_model.named_model(invocation(["position", "--out=O", f"--workdir={averaged_run}", *flags]))
    assert (named.name, named.step) == (f"averaged{name}", step)


def test_folder_for_timm_says_what_the_model_is(workdir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "folder"
    assert program.main(["convert", f"--workdir={workdir}", "--to=timm", f"--out={out}"]) == 0
    assert f"timm.create_model('local-dir:{out}', pretrained=True)" in capsys.readouterr().out
    config = json.loads((out / "config.json").read_text())
    assert config["architecture"] == "vit_relpos_small_patch16_224"
    assert (config["num_classes"], config["label_names"]) == (10, [str(digit) for digit in range(10)])
    assert config["model_args"] == {
        "img_size": [16, 32],
        "patch_size": 8,
        "embed_dim": 16,
        "depth": 2,
        "num_heads": 2,
        "init_values": 0.0,
        "qkv_bias": True,
        "rel_pos_type": "bias",
    }
    images = config["pretrained_cfg"]
    assert (images["mean"], images["std"], images["crop_pct"]) == ([0.5] * 3, [0.5] * 3, 1.0)
    assert images["input_size"] == [3, 16, 32]
    header = open_weights(out / "model.safetensors").metadata
    assert header["step"] == "4" and json.loads(header["class_names"]) == config["label_names"]
    table = "blocks.1.attn.rel_pos.relative_position_bias_table"
    assert json.loads(header["position_grids"])[table] == [2, 4]
    assert program.main(["convert", f"--workdir={workdir}", "--to=timm", f"--out={out}"]) == 0


def test_folder_with_a_config_of_something_else_is_left_alone(
    workdir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "config.json").write_text("{}")
    status, line = failed(capsys, f"--workdir={workdir}", "--to=timm", f"--out={tmp_path}")
    assert status == 2 and "holds a config.json of something else" in line
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    status, line = failed(capsys, f"--workdir={workdir}", "--to=timm", f"--out={tmp_path / 'w.pth'}")
    assert status == 2 and "name a folder, or a file that ends in .safetensors" in line
    status, line = failed(capsys, f"--workdir={workdir}", "--to=timm", f"--out={workdir}")
    assert status == 2 and not (workdir / "model.safetensors").exists()


def test_model_that_hugging_face_lacks_is_refused(workdir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    status, line = failed(capsys, f"--workdir={workdir}", "--to=hugging_face", f"--out={tmp_path / 'folder'}")
    assert status == 2 and "no ViT, DeiT or Swin of Hugging Face computes the same: it has position biases" in line
    assert not (tmp_path / "folder").exists()


def test_run_becomes_a_program(workdir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "model.stablehlo"
    assert program.main(["convert", f"--workdir={workdir}", "--to=stablehlo", "--platforms=cpu", f"--out={out}"]) == 0
    assert "jax.export.deserialize" in capsys.readouterr().out
    named, loaded = named_model.trained(workdir), export.deserialize(bytearray(out.read_bytes()))
    images = jnp.asarray(np.random.default_rng(0).integers(0, 256, (3, 16, 32, 3), np.uint8))
    logits = jax.jit(nnx.merge(named.graph, named.params))(named.normalization(images))
    np.testing.assert_allclose(loaded.call(images), logits, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "status", "expected"),
    [
        ([], 2, "needs either --to=timm, to write weights, or --weights=F"),
        (["--to=timm", "--weights=F"], 2, "needs either --to=timm"),
        (["--to=timm", "--workdir=W"], 2, "convert needs --out"),
        (["--to=torch", "--workdir=W", "--out=F"], 2, "unknown weight format 'torch'"),
        (["--weights=F", "--workdir=W"], 2, "needs either --model=NAME or --config=FILE"),
        (["--weights=F", "--workdir=W", "--model=os:system"], 2, "unknown model 'os:system'"),
        (["--weights=/none", "--workdir=W", "--model=vit_tiny"], 4, "error[IMPORT]: there is no file /none"),
        (["--to=timm", "--workdir=W", "--out=F", "--unbake"], 2, "--unbake is for the way in"),
        (["--to=timm", "--workdir=W", "--out=F", "--model=vit_tiny"], 2, "--model is for the way in"),
        (["--to=timm", "--workdir=W", "--out=F", "--head=fresh"], 2, "--head is for the way in"),
        (["--to=timm", "--workdir=W", "--out=F", "--source_grid=2,4"], 2, "--source_grid is for the way in"),
        (["--weights=F", "--workdir=W", "--model=vit_tiny", "--best"], 2, "--best is for the way out"),
        (["--weights=F", "--workdir=W", "--model=vit_tiny", "--ema"], 2, "--ema is for the way out"),
        (["--weights=F", "--workdir=W", "--model=vit_tiny", "--out=F"], 2, "--out is for the way out"),
        (["--weights=F", "--workdir=W", CONFIG, "--gaussian"], 2, "--gaussian changes a preset, not a config"),
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
    assert status == 4 and "can run code" in line and "run: python -c 'from torch import" in line
    assert not folder.exists()


def test_workdir_that_holds_a_run_is_left_alone(weights: Path, workdir: Path, capsys: pytest.CaptureFixture[str]):
    status, line = failed(capsys, f"--weights={weights}", "--model=vit_tiny", f"--workdir={workdir}")
    assert status == 2 and "holds a run already" in line
    assert named_model.trained(workdir).step == 4
