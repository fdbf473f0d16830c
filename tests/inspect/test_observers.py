"""Observers: they draw the parameters that they are given, and never end a run."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx
from jaxtyping import PyTree

from gauss_vit.analysis.erf import ErfMap
from gauss_vit.analysis.protocol import BMVC2023
from gauss_vit.errors import ConfigError, StorageError
from gauss_vit.experiment import Experiment
from gauss_vit.inspect import observers
from gauss_vit.inspect.position import PositionGroup
from gauss_vit.position import Gaussian, without_terms
from gauss_vit.train import mesh
from gauss_vit.train.workdir.metrics_log import entries
from tests.models.built import build
from tests.tiny_config import get_config


@pytest.fixture(scope="module")
def experiment(data_flag: str) -> Experiment:
    data = dataclasses.replace(get_config().data, data_dir=data_flag.partition("=")[2])
    training = dataclasses.replace(get_config().training, observe_images=13)
    return dataclasses.replace(get_config(), data=data, training=training)


def test_no_images_have_no_observers(experiment: Experiment, tmp_path: Path):
    assert observers.of(experiment, tmp_path)
    silent = dataclasses.replace(experiment, training=dataclasses.replace(experiment.training, observe_images=0))
    assert observers.of(silent, tmp_path) == ()


def fresh(experiment: Experiment) -> PyTree:
    """Parameters spread over all devices, as in training."""
    devices = mesh.make(mesh.MeshConfig(fsdp=2, tensor=2), jax.devices())
    model = build(experiment.network, jax.random.key(0))
    params = nnx.to_pure_dict(nnx.state(model))
    return jax.device_put(params, mesh.tree_shardings(devices, params))


def test_receptive_field_sums_to_one_and_names_its_step(experiment: Experiment, tmp_path: Path):
    numbers = observers.erf_observer(experiment, tmp_path, run="digits")(7, fresh(experiment))
    with np.load(tmp_path / "step_0000007.npz", allow_pickle=False) as arrays:
        assert arrays["erf"].shape == experiment.model.image_size
        assert arrays["erf"].sum() == pytest.approx(1.0)
        assert arrays["num_images"] == 13
        assert arrays["title"] == "digits, step 7"
    record = json.loads((tmp_path / "step_0000007.json").read_text())
    assert (record["model"], record["step"], record["protocol"]) == ("digits", 7, "bmvc2023")
    assert numbers["erf/half_mass_radius"] == record["from_target"]["half_mass_radius"]
    if record["gaussian_fit"]["converged"]:
        assert numbers["erf/sigma_x"] == pytest.approx(record["gaussian_fit"]["sigma_x"])


def test_written_files_are_logged_and_not_printed(
    experiment: Experiment, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
):
    caplog.set_level("INFO")
    observers.position_observer(experiment, tmp_path, run="digits")(3, fresh(experiment))
    assert "step_0000003_position.npz .json" in caplog.text
    assert capsys.readouterr().out == ""


def test_position_record_holds_the_learned_sigma(experiment: Experiment, tmp_path: Path):
    params = fresh(experiment)
    gaussian = params["backbone"]["blocks"]["attention"]["bias"]["gaussian"]
    gaussian["sigma"] = gaussian["sigma"] * 0 + jax.numpy.float32(1.25)
    numbers = observers.position_observer(experiment, tmp_path, run="digits")(3, params)
    (path,) = tmp_path.glob("step_0000003*.json")
    layers = json.loads(path.read_text())["layers"]
    assert [layer["gaussian"]["sigma_y"] for layer in layers] == [[1.25], [1.25]]
    assert numbers == {
        "gaussian/sigma/layer_00": 1.25,
        "gaussian/sigma/layer_01": 1.25,
        "gaussian/amplitude/layer_00": 2.0,
        "gaussian/amplitude/layer_01": 2.0,
    }


def test_models_without_bias_have_one_observer_less(experiment: Experiment, tmp_path: Path):
    plain = dataclasses.replace(experiment, model=without_terms(experiment.model, Gaussian))
    assert len(observers.of(experiment, tmp_path)) == 2
    assert len(observers.of(plain, tmp_path)) == 1


def test_nothing_to_draw_is_a_warning(caplog: pytest.LogCaptureFixture):
    def refuse(step: int, params: PyTree) -> None:
        raise ConfigError("nothing to see")

    observers.tolerant(refuse, name="receptive field")(4, {})
    assert "step 4: no receptive field: nothing to see" in caplog.text


def field_of(values: np.ndarray) -> ErfMap:
    return ErfMap(
        values=values / values.sum(), magnitude=0.5, num_images=1, token=(1, 2), grid=(4, 6), protocol=BMVC2023
    )


def test_numbers_of_a_gaussian_field_are_its_own():
    row, column = np.ix_(np.arange(32), np.arange(48))
    numbers = observers.erf_numbers(field_of(np.exp(-(((row - 12.5) / 3) ** 2) / 2 - (((column - 18.5) / 4) ** 2) / 2)))
    # The target patch (1, 2) of 8 px is centred at pixel (11.5, 19.5).
    expected = {"sigma_x": 4, "sigma_y": 3, "r_squared": 1, "center_shift_x": -1, "center_shift_y": 1, "magnitude": 0.5}
    assert {name: numbers[f"erf/{name}"] for name in expected} == pytest.approx(expected, abs=1e-3)
    assert numbers["erf/mass_shift_x"] == pytest.approx(-1, abs=0.05)


def test_field_without_a_fit_has_no_numbers_of_one():
    numbers = observers.erf_numbers(field_of(np.ones((32, 48))))
    assert sorted(numbers) == ["erf/half_mass_radius", "erf/magnitude", "erf/mass_shift_x", "erf/mass_shift_y"]


def test_layers_are_counted_through_stages_and_heads_are_averaged():
    values = {"gaussian/amplitude": np.array([[1.0, 3.0]]), "toy/slope": np.array([[-1.0, 2.0]])}
    groups = tuple(
        PositionGroup(name=name, grid=(1, 2), tables=np.zeros((1, 2, 1, 3), np.float32), learned=None, numbers=values)
        for name in ("stage0", "stage1")
    )
    assert observers.term_numbers(groups) == {
        f"{name}/layer_{layer:02d}": value
        for layer in (0, 1)
        for name, value in (("gaussian/amplitude", 2.0), ("toy/slope", 0.5))
    }


def test_a_run_logs_its_observations(workdir: Path):
    (line,) = [entry for entry in entries(workdir / "metrics.jsonl") if entry["split"] == "observe"]
    assert line["step"] == 4
    assert {"erf/half_mass_radius", "gaussian/sigma/layer_00", "gaussian/amplitude/layer_01"} <= set(line)


def test_pictures_of_a_step_have_names(workdir: Path):
    found = observers.pictures(workdir, 4)
    assert {"erf", "position/tables", "position/strip"} <= set(found)
    assert all(path.suffix == ".png" and "step_0000004" in path.name for path in found.values())
    assert observers.pictures(workdir, 3) == {}


def test_step_without_a_field_logs_no_number_of_it(experiment: Experiment, tmp_path: Path, caplog):
    params = jax.tree.map(jax.numpy.zeros_like, fresh(experiment))
    observe = observers.tolerant(observers.erf_observer(experiment, tmp_path, run="digits"), name="receptive field")
    assert observe(1, params) == {}
    assert "step 1: no receptive field" in caplog.text


def test_full_disk_is_an_error():
    def fail(step: int, params: PyTree) -> None:
        raise StorageError("disk full")

    with pytest.raises(StorageError):
        observers.tolerant(fail, name="receptive field")(4, {})
