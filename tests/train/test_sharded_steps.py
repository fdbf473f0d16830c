"""The same losses on every mesh, and less memory on each device where parameters are split."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from gauss_vit.batches import Batch, ClassTargets
from gauss_vit.errors import ConfigError
from gauss_vit.models.swin import SwinConfig
from gauss_vit.position.position import Position
from gauss_vit.position.relative import RelativeTable
from gauss_vit.train import mesh as meshes
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.program import fresh_state, make_program
from tests.tiny_config import get_config

TINY = get_config()
MODELS = {
    "vit": dataclasses.replace(TINY.model, width=32, num_heads=4),
    "swin": SwinConfig(
        image_size=(32, 16),
        patch_size=(4, 4),
        width=16,
        depths=(2, 1),
        num_heads=(2, 4),
        window=(2, 2),
        position=Position(terms=(RelativeTable(),)),
        biases="query_value",
        similarity="cosine",
        norm="after",
    ),
}
BATCH_SIZE = 16
NUM_STEPS = 20
MESHES = {
    "dp8": MeshConfig(data=8),
    "fsdp8": MeshConfig(data=1, fsdp=8, whole_below=0),
    "dp4_tp2": MeshConfig(data=4, tensor=2, whole_below=0),
    "2x2x2": MeshConfig(data=2, fsdp=2, tensor=2, whole_below=0),
    "slices": MeshConfig(slices=2, data=1, fsdp=2, tensor=2, whole_below=256),
}


def batch_of(step: int, image_size: tuple[int, int]) -> Batch:
    random = np.random.default_rng(step)
    return Batch(
        image=random.integers(256, size=(BATCH_SIZE, *image_size, 3)).astype(np.uint8),
        is_real=np.ones(BATCH_SIZE, bool),
        targets=ClassTargets(label=random.integers(10, size=BATCH_SIZE).astype(np.int32)),
    )


def losses(model: str, mesh: MeshConfig) -> np.ndarray:
    experiment = dataclasses.replace(TINY, model=MODELS[model], mesh=mesh)
    program = make_program(experiment)
    state, found = fresh_state(experiment, program), []
    for step in range(NUM_STEPS):
        batch = meshes.place_batch(batch_of(step, experiment.model.image_size), program.mesh)
        state, outcome = program.train_step(state, batch)
        found.append(float(outcome.loss))
    assert jax.tree.map(lambda leaf: leaf.sharding, state) == jax.tree.map(lambda leaf: leaf.sharding, program.abstract)
    return np.array(found)


@functools.cache
def losses_of_one_device(model: str) -> np.ndarray:
    return losses(model, MeshConfig(data=1))


@pytest.mark.parametrize(
    ("model", "mesh"),
    [
        pytest.param(model, mesh, marks=[] if (model, mesh) == ("vit", "2x2x2") else pytest.mark.full)
        for model in MODELS
        for mesh in MESHES
    ],
)
def test_losses_do_not_depend_on_the_mesh(model: str, mesh: str):
    np.testing.assert_allclose(losses(model, MESHES[mesh]), losses_of_one_device(model), rtol=0, atol=1e-5)


def test_heads_that_tensor_does_not_divide_are_refused_before_anything_is_compiled():
    with pytest.raises(ConfigError, match="tensor 4 does not divide the number of heads 2, 4"):
        make_program(dataclasses.replace(TINY, model=MODELS["swin"], mesh=MeshConfig(tensor=4)))
