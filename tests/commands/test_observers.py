"""Observers: they draw the parameters that they are given, and never end a run."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx
from jaxtyping import PyTree

from gauss_vit.commands import observers
from gauss_vit.errors import ConfigError, StorageError
from gauss_vit.experiment import Experiment
from gauss_vit.models import construct
from gauss_vit.train import mesh
from tests.tiny_config import get_config


@pytest.fixture(scope="module")
def experiment(data_flag: str) -> Experiment:
    data = dataclasses.replace(get_config().data, data_dir=data_flag.partition("=")[2])
    training = dataclasses.replace(get_config().training, observe_images=13)
    return dataclasses.replace(get_config(), data=data, training=training)


def fresh(experiment: Experiment) -> PyTree:
    """Parameters spread over all devices, as in training."""
    devices = mesh.make(mesh.MeshConfig(fsdp=4), jax.devices())
    model = construct.build(experiment.model, jax.random.key(0))
    params = nnx.to_pure_dict(nnx.state(model))
    return jax.device_put(params, mesh.tree_shardings(devices, params))


def test_receptive_field_sums_to_one_and_names_its_step(experiment: Experiment, tmp_path: Path):
    observers.erf_observer(experiment, tmp_path)(7, fresh(experiment))
    with np.load(tmp_path / "step_0000007.npz", allow_pickle=False) as arrays:
        assert arrays["erf"].shape == experiment.model.image_size
        assert arrays["erf"].sum() == pytest.approx(1.0)
        assert arrays["num_images"] == 13
    record = json.loads((tmp_path / "step_0000007.json").read_text())
    assert record["step"] == 7 and record["protocol"] == "bmvc2023"


def test_position_record_holds_the_learned_sigma(experiment: Experiment, tmp_path: Path):
    params = fresh(experiment)
    gaussian = params["blocks"]["attention"]["bias"]["gaussian"]
    gaussian["sigma"] = gaussian["sigma"] * 0 + jax.numpy.float32(1.25)
    observers.position_observer(experiment, tmp_path)(3, params)
    (path,) = tmp_path.glob("step_0000003*.json")
    layers = json.loads(path.read_text())["layers"]
    assert [layer["gaussian"]["sigma_y"] for layer in layers] == [[1.25], [1.25]]


def test_models_without_bias_have_one_observer_less(experiment: Experiment, tmp_path: Path):
    plain = dataclasses.replace(experiment, model=dataclasses.replace(experiment.model, gaussian=None))
    assert len(observers.of(experiment, tmp_path)) == 2
    assert len(observers.of(plain, tmp_path)) == 1


def test_nothing_to_draw_is_a_warning(caplog: pytest.LogCaptureFixture):
    def refuse(step: int, params: PyTree) -> None:
        raise ConfigError("nothing to see")

    observers.tolerant(refuse, name="receptive field")(4, {})
    assert "step 4: no receptive field: nothing to see" in caplog.text


def test_full_disk_is_an_error():
    def fail(step: int, params: PyTree) -> None:
        raise StorageError("disk full")

    with pytest.raises(StorageError):
        observers.tolerant(fail, name="receptive field")(4, {})
