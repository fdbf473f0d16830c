"""A position term that a user defines in a config file of their own is a term like ours."""

import dataclasses
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gauss_vit import experiment
from gauss_vit import main as program
from gauss_vit.assembly.named_model import trained
from gauss_vit.config import schema
from gauss_vit.errors import ConfigError
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.models.construct import abstract
from gauss_vit.position import Position, RelativeTable
from gauss_vit.weights.bake import bake
from gauss_vit.weights.intervention import intervene
from tests.drawing import undrawn
from tests.tiny_config import ONE_DEVICE

FILE = '''
import dataclasses

import jax.numpy as jnp

from gauss_vit.position import BiasTerm, with_terms
from tests import tiny_config


@dataclasses.dataclass(frozen=True, kw_only=True)
class Slope(BiasTerm):
    """Logits fall linearly with the distance along rows and columns."""

    slope: float = 0.5

    @property
    def name(self):
        return "slope"

    def init(self, key, *, grid, num_heads):
        return {"slope": jnp.full((num_heads,), self.slope, jnp.float32)}

    def table(self, params, grid, *, key=None):
        rows, columns = (jnp.abs(jnp.arange(1 - size, size, dtype=jnp.float32)) for size in grid)
        distance = rows[:, None] + columns[None, :]
        return -params["slope"][:, None, None] * distance[None]

    def numbers(self, params, grid):
        return {"slope": params["slope"]}


def get_config():
    tiny = tiny_config.get_config()
    training = dataclasses.replace(tiny.training, observe_images=8)
    return dataclasses.replace(tiny, training=training, model=with_terms(tiny.model, Slope(slope=0.25)))
'''


@pytest.fixture(scope="module")
def config_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's config file."""
    path = tmp_path_factory.mktemp("configs") / "sloped.py"
    path.write_text(FILE)
    return path


@pytest.fixture(scope="module")
def run(config_file: Path, data_flag: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four steps that was then resumed for two more."""
    folder = tmp_path_factory.mktemp("runs") / "sloped"
    command = [f"--config={config_file}", data_flag, ONE_DEVICE, f"--workdir={folder}"]
    assert program.main([*command, "--config.training.observe_images=0"]) == 0
    with undrawn():
        assert program.main([*command, "--config.training.num_steps=6"]) == 0
    return folder


def known_in(config_file: Path) -> tuple[type, ...]:
    return schema.classes_in(experiment.load(str(config_file)))


def test_the_term_trains_resumes_and_is_logged(run: Path):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert max(line["step"] for line in lines) == 6
    observed = [line for line in lines if line["split"] == "observe"]
    slopes = [line["slope/slope/layer_00"] for line in observed]
    assert slopes and all(0 < slope != 0.25 for slope in slopes)
    assert "erf/half_mass_radius" in observed[-1]


def test_the_stored_config_is_data_that_names_the_term(run: Path):
    stored = json.loads((run / "config.json").read_text())
    assert stored["model"]["position"]["terms"][1] == {"type": "Slope", "slope": 0.25}


def test_overrides_reach_the_term(config_file: Path):
    given = experiment.load(str(config_file))
    changed = experiment.override(given, {"model.position.terms[1].slope": 1})
    assert dataclasses.asdict(changed.model.position.terms[1]) == {"slope": 1.0}
    with pytest.raises(ConfigError, match="slope must be a number"):
        experiment.override(given, {"model.position.terms[1].slope": "steep"})


def test_annotations_may_be_text(config_file: Path, tmp_path: Path):
    late = tmp_path / "late.py"
    field = '    slope: float = 0.5\n    norm: Literal["sum"] = "sum"\n'
    text = config_file.read_text().replace("    slope: float = 0.5\n", field)
    late.write_text(f"from __future__ import annotations\nfrom typing import Literal\n{text}")
    with pytest.raises(ConfigError, match=r"terms\[1\].norm must be 'sum'"):
        experiment.override(experiment.load(str(late)), {"model.position.terms[1].norm": "max"})


def test_the_position_verb_takes_the_sum_with_it(run: Path, config_file: Path, tmp_path: Path):
    with undrawn():
        assert program.main(["position", f"--workdir={run}", f"--config={config_file}", f"--out={tmp_path}"]) == 0
    assert (tmp_path / "sloped_position_tables.png").is_file()


def test_a_workdir_without_the_file_names_the_missing_term(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    assert program.main(["position", f"--workdir={run}", f"--out={tmp_path}"]) != 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "Slope" in line]
    assert "model.position.terms[1].type is 'Slope', not one of" in line
    assert "--config=FILE" in line


def test_baked_tables_compute_the_same(run: Path, config_file: Path):
    named = trained(run, known=known_in(config_file))
    baked, params = bake(named.config, named.params)
    assert baked.position == Position(terms=(RelativeTable(),))
    images = jax.random.normal(jax.random.key(0), (2, *baked.image_size, 3), jnp.float32)
    network = NetworkConfig(backbone=baked, head=named.head)
    expected = jax.jit(nnx.merge(named.graph, named.params))(images)
    # Sums of tables are rounded once more.
    found = jax.jit(nnx.merge(abstract(network)[0], params))(images)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_interventions_zero_and_redraw_it(run: Path, config_file: Path):
    named = trained(run, known=known_in(config_file))

    def slopes(params: dict) -> np.ndarray:
        return np.asarray(params["backbone"]["blocks"]["attention"]["bias"]["slope"]["slope"])

    assert not np.any(slopes(intervene(named.config, named.params, "zero", key=jax.random.key(0))[1]))
    redrawn = intervene(named.config, named.params, "reinit", key=jax.random.key(0))[1]
    np.testing.assert_array_equal(slopes(redrawn), np.full_like(slopes(redrawn), 0.25))
