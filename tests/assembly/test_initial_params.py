"""`train` from given weights: what is taken from where, and that a run which goes on does not need them."""

import dataclasses
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from gauss_vit import experiment as experiments
from gauss_vit import main as program
from gauss_vit.assembly.initial_params import initial_params, read, summary
from gauss_vit.assembly.named_model import restore, trained
from gauss_vit.errors import CheckpointError, ConfigError
from gauss_vit.heads.linear import LinearHead
from gauss_vit.models import construct
from gauss_vit.models.vit import ViTConfig
from gauss_vit.position.position import without_terms
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.tasks.classification import Classification
from gauss_vit.train import mesh
from gauss_vit.tree import flatten_paths, unflatten_paths
from gauss_vit.weights.names.name_tables import NAME_TABLES
from gauss_vit.weights.names.naming import to_theirs
from gauss_vit.weights.pretrained import load_weights
from gauss_vit.weights.safetensors_file import write
from gauss_vit.weights.start import Start
from tests.networks import classifier
from tests.tiny_config import FLAG as CONFIG
from tests.tiny_config import get_config

MODEL = get_config().model
assert isinstance(MODEL, ViTConfig)


def starting_at(weights: Path, model: ViTConfig = MODEL, **choices) -> experiments.Experiment:
    """The tiny experiment from given weights."""
    return dataclasses.replace(get_config(), model=model, start=Start(weights=str(weights), **choices))


def leaves(params) -> dict[str, np.ndarray]:
    """Parameters by path, on the host."""
    return flatten_paths(jax.device_get(params))


def config_file(folder: Path, shown: experiments.Experiment, data_flag: str) -> str:
    """Writes an experiment where `--config` can name it."""
    data = dataclasses.replace(shown.data, data_dir=data_flag.partition("=")[2])
    path = folder / "start.json"
    alone = mesh.MeshConfig(data=1)
    path.write_text(json.dumps(dataclasses.replace(shown, data=data, mesh=alone).to_json()))
    return f"--config={path}"


def test_experiment_without_start_draws_everything():
    assert initial_params(get_config()) is None


def test_workdir_gives_its_newest_parameters(workdir: Path):
    given, taken = leaves(trained(workdir).params), leaves(initial_params(starting_at(workdir)))
    assert list(given) == list(taken)
    for path, leaf in given.items():
        np.testing.assert_array_equal(taken[path], leaf)


def test_file_gives_its_parameters_and_a_head_that_does_not_fit_is_new(workdir: Path, tmp_path: Path):
    plain = without_terms(MODEL, Gaussian)
    params = {path: leaf for path, leaf in leaves(trained(workdir).params).items() if "gaussian" not in path}
    path = tmp_path / "weights.safetensors"
    write(path, to_theirs(unflatten_paths(params), NAME_TABLES["timm"](classifier(plain))))
    same = leaves(initial_params(starting_at(path, plain)))
    three = dataclasses.replace(starting_at(path), task=Classification(head=LinearHead(num_classes=3)))
    other = leaves(initial_params(three))
    for name, leaf in params.items():
        np.testing.assert_array_equal(same[name], leaf)
        if not name.startswith("head."):
            np.testing.assert_array_equal(other[name], leaf)
    assert other["head.linear.kernel"].shape == (16, 3)
    assert load_weights(path, classifier(plain, 10), head="fitting").fresh == ()


def test_training_begins_at_the_weights_and_goes_on_without_them(workdir: Path, tmp_path: Path, data_flag: str):
    donor, run = tmp_path / "donor", tmp_path / "run"
    shutil.copytree(workdir, donor)
    shown = starting_at(donor)
    # Updates of rate 1e-12 leave float32 weights where they were, and their average too.
    optimizer = dataclasses.replace(shown.optimizer, learning_rate=1e-12)
    training = dataclasses.replace(shown.training, ema_decay=0.5)
    config = config_file(tmp_path, dataclasses.replace(shown, optimizer=optimizer, training=training), data_flag)
    assert program.main([config, f"--workdir={run}", "--config.training.num_steps=2"]) == 0
    given = leaves(trained(donor).params)
    one_device = mesh.make(mesh.MeshConfig(data=1), jax.devices())
    abstract = mesh.with_shardings(one_device, construct.abstract(get_config().network)[1])
    for which in ("params", "ema"):
        first = leaves(restore(run, abstract, config=MODEL, which=which).arrays)
        for path, leaf in given.items():
            np.testing.assert_allclose(first[path], leaf, atol=1e-9)
    shutil.rmtree(donor)
    assert program.main([config, f"--workdir={run}", "--config.training.num_steps=3"]) == 0
    assert trained(run).step == 3


def test_other_weights_are_another_run(workdir: Path, tmp_path: Path, data_flag: str, capsys):
    flags = [f"--workdir={tmp_path}/run", "--config.training.num_steps=2"]
    config = config_file(tmp_path, starting_at(workdir), data_flag)
    assert program.main([config, *flags]) == 0
    assert "starts from" in capsys.readouterr().err
    assert program.main([config, *flags, "--config.start.weights=elsewhere"]) == 2
    assert "start.weights" in capsys.readouterr().err


def test_missing_weights_are_refused_with_the_flag_that_names_them(tmp_path: Path):
    with pytest.raises(CheckpointError, match="there are no weights at") as caught:
        initial_params(starting_at(tmp_path / "nowhere.safetensors"))
    assert "--config.start.weights" in caught.value.do


def test_a_config_without_start_gets_one_on_the_command_line(tmp_path: Path, data_flag: str, capsys):
    flags = [f"--workdir={tmp_path}/run", f"--config.start.weights={tmp_path}/none.safetensors"]
    assert program.main([CONFIG, data_flag, *flags, "--config.start.head=fresh"]) == 4
    assert f"there are no weights at {tmp_path}/none.safetensors" in capsys.readouterr().err
    assert program.main([CONFIG, data_flag, flags[0], "--config.start.head=fresh"]) == 2
    assert "start.weights is missing" in capsys.readouterr().err


def test_a_folder_without_a_run_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="does not contain a run"):
        initial_params(starting_at(tmp_path))


def test_positions_that_the_model_lacks_cannot_be_redrawn(workdir: Path, tmp_path: Path, data_flag: str, capsys):
    shown = starting_at(workdir, without_terms(MODEL, Gaussian), intervention="reinit")
    assert program.main([config_file(tmp_path, shown, data_flag), f"--workdir={tmp_path}/run"]) == 2
    assert "nothing that the intervention reinit could change" in capsys.readouterr().err


def test_summary_says_what_is_not_from_the_weights(workdir: Path):
    start = Start(weights="W", head="fresh", intervention="zero")
    imported = read(Start(weights=str(workdir), head="fresh"), get_config().network, seed=0)
    assert (
        summary(start, imported)
        == "starts from W (gauss_vit); fresh: head.linear.bias, head.linear.kernel; position information: zero"
    )
