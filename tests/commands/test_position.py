"""The `position` verb: its files hold the model's tables, fits and pictures."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from flax import nnx

from gauss_vit.commands import position
from gauss_vit.commands.command import Invocation
from gauss_vit.commands.model_source import IMAGENET, NamedModel
from gauss_vit.data.transforms import ResizeCenterCrop
from gauss_vit.errors import ConfigError
from gauss_vit.models import construct
from tests.tiny_config import MODEL


def run(monkeypatch, out, config=MODEL):
    graph, state = nnx.split(construct.build(config, jax.random.key(0)))
    named = NamedModel(
        name="tiny",
        config=config,
        graph=graph,
        params=nnx.to_pure_dict(state),
        step=5,
        transform=ResizeCenterCrop(),
        normalization=IMAGENET,
    )
    monkeypatch.setattr(position, "named_model", lambda invocation: named)
    position.run(Invocation(verb="position", experiment=None, options={"out": str(out)}, arguments=()))


def test_tables_fits_and_pictures_are_written(monkeypatch, tmp_path, capsys):
    run(monkeypatch, tmp_path / "out")
    names = sorted(path.name.removeprefix("tiny_position") for path in (tmp_path / "out").iterdir())
    assert names == [".json", ".npz", "_layers.png", "_rows.png", "_tables.png"]
    assert "2 layers" in capsys.readouterr().out


def test_the_record_has_every_layer_with_the_learned_gaussian(monkeypatch, tmp_path):
    run(monkeypatch, tmp_path)
    record = json.loads((tmp_path / "tiny_position.json").read_text())
    assert (record["model"], record["step"], record["grid"]) == ("tiny", 5, [2, 4])
    assert [layer["gaussian"] for layer in record["layers"]] == [
        {"amplitude": [2.0], "sigma_y": [1.0], "sigma_x": [1.0]}
    ] * 2


def test_the_tables_are_those_of_the_term(monkeypatch, tmp_path):
    run(monkeypatch, tmp_path)
    with np.load(tmp_path / "tiny_position.npz") as archive:
        tables = archive["tables"]
    dy, dx = np.meshgrid(np.arange(-1, 2), np.arange(-3, 4), indexing="ij")
    np.testing.assert_allclose(tables, np.stack([4 * np.exp(-(dy**2 + dx**2) / 2)] * 2), rtol=1e-6)


def test_a_model_without_position_bias_is_refused(monkeypatch, tmp_path):
    with pytest.raises(ConfigError, match="no position bias"):
        run(monkeypatch, tmp_path / "out", dataclasses.replace(MODEL, gaussian=None))
    assert not (tmp_path / "out").exists()
