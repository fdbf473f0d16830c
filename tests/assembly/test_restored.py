"""Positions of a run are those of their own grid: another grid gets them resampled, even with as many patches."""

import dataclasses
import json
import zlib
from pathlib import Path

import jax
import numpy as np
import pytest

from gauss_vit.assembly.imported_run import write_run
from gauss_vit.assembly.restored import restore
from gauss_vit.errors import CheckpointError
from gauss_vit.experiment import Experiment
from gauss_vit.models import construct
from gauss_vit.models.swin import SwinConfig
from gauss_vit.position.absolute import AbsoluteEmbedding
from gauss_vit.position.position import Position
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.position.terms.relative import RelativeTable
from gauss_vit.position.terms.relative_mlp import RelativeMlp
from gauss_vit.train import mesh
from gauss_vit.train.checkpoint.reader import CHECKPOINTS, META
from gauss_vit.tree import flatten_paths, unflatten_paths
from gauss_vit.weights.pretrained import Imported
from gauss_vit.weights.resample_positions import Regrid, is_position
from tests.models import deterministic
from tests.networks import classifier
from tests.tiny_config import MODEL, get_config

POSITIONS = Position(terms=(RelativeTable(), RelativeMlp(hidden=4), Gaussian()), absolute=AbsoluteEmbedding())
VIT = dataclasses.replace(MODEL, position=POSITIONS, class_token=True)  # 2 x 4 patches
SWIN = SwinConfig(
    image_size=(32, 64),
    width=16,
    depths=(2, 1),
    num_heads=(2, 2),
    window=(2, 4),
    position=Position(terms=(RelativeTable(),)),
    biases="all",
    similarity="product",
    norm="before",
)
EMBED, TABLE = "backbone.position_embed", "backbone.blocks.attention.bias.relative.table"


def experiment_of(model) -> Experiment:
    return dataclasses.replace(get_config(), model=model)


def numbers(model) -> dict[str, np.ndarray]:
    """Parameters of a model of ten classes, by path."""
    leaves = flatten_paths(construct.abstract(classifier(model, 10))[1])
    return {path: deterministic.values(path, leaf.shape).astype(np.float32) for path, leaf in leaves.items()}


def saved(folder: Path, model) -> dict[str, np.ndarray]:
    """Writes a run at step 0, and returns its parameters."""
    given = numbers(model)
    imported = Imported(params=unflatten_paths(given), table="gauss_vit", resampled=(), fresh=())
    write_run(folder, experiment_of(model), imported, sources=None)
    return given


def restored(folder: Path, model) -> dict[str, np.ndarray]:
    devices = mesh.make(mesh.MeshConfig(data=2), jax.devices())
    abstract = mesh.with_shardings(devices, construct.abstract(experiment_of(model).network)[1])
    arrays = restore(folder, abstract, config=model).arrays
    return flatten_paths(jax.device_get(arrays))


def at(model, *grid: int):
    """The model for images of so many patches."""
    return dataclasses.replace(model, image_size=tuple(8 * side for side in grid))


def without_origin(folder: Path) -> None:
    """Makes the checkpoint one of before it said what it was trained on."""
    path = folder / CHECKPOINTS / "0" / META / "metadata"
    content = json.loads(path.read_text())["content"]
    del content["trained_on"]
    seal = zlib.crc32(json.dumps(content, sort_keys=True).encode())
    path.write_text(json.dumps({"content": content, "crc32": seal}))


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "vit"
    saved(folder, VIT)
    return folder


@pytest.fixture(scope="module")
def old_vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "old"
    saved(folder, VIT)
    without_origin(folder)
    return folder


@pytest.mark.parametrize("run", ["vit", "old_vit"])
@pytest.mark.parametrize("grid", [(4, 2), (1, 8), (3, 5), (4, 4)])
def test_positions_are_resampled_from_the_grid_of_the_run(run: str, grid: tuple[int, int], request):
    folder, given = request.getfixturevalue(run), numbers(VIT)
    found = restored(folder, at(VIT, *grid))
    embedding = Regrid(kind="absolute", source=(2, 4), target=grid, num_extra=1)
    np.testing.assert_array_equal(found[EMBED], embedding(given[EMBED][None])[0])
    moved = VIT.position.terms[0].resample({"table": given[TABLE]}, source=(2, 4), target=grid)["table"]
    np.testing.assert_array_equal(found[TABLE], moved)
    for path, leaf in given.items():
        if path not in (EMBED, TABLE):
            np.testing.assert_array_equal(found[path], leaf)


def test_the_own_grid_is_taken_to_the_bit(vit: Path):
    found = restored(vit, VIT)
    for path, leaf in numbers(VIT).items():
        np.testing.assert_array_equal(found[path], leaf)


def test_windows_are_resampled_where_they_differ(tmp_path: Path):
    given = saved(tmp_path / "swin", SWIN)
    target = dataclasses.replace(SWIN, window=(4, 2), image_size=(64, 32))
    found = restored(tmp_path / "swin", target)
    tables = [path for path in given if is_position(path, SWIN)]
    assert len(tables) == 2
    for stage, path in zip(SWIN.stages(), tables, strict=True):
        wanted = target.stages()[stage.first // 2].window
        assert found[path].shape[-2:] == (2 * wanted[0] - 1, 2 * wanted[1] - 1)
        moved = RelativeTable().resample({"table": given[path]}, source=stage.window, target=wanted)["table"]
        np.testing.assert_array_equal(found[path], moved)
        assert not np.array_equal(found[path].ravel(), given[path].ravel())


def test_positions_that_differ_in_more_than_their_grid_are_refused(vit: Path):
    with pytest.raises(CheckpointError) as caught:
        restored(vit, dataclasses.replace(at(VIT, 3, 5), num_heads=4))
    assert caught.value.code == "CKPT-SHAPE"
