"""The same losses on every mesh, and less memory on each device where parameters are split."""

import dataclasses
import functools

import numpy as np
import pytest

from gauss_vit.batches import Batch, ClassTargets
from gauss_vit.errors import ConfigError
from gauss_vit.models.swin import SwinConfig
from gauss_vit.position.position import Position
from gauss_vit.position.terms.relative import RelativeTable
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
    "one": MeshConfig(data=1),
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trained:
    """Losses of every step, and XLA's figures of the memory of one device, in bytes: what lasts, and what does not."""

    losses: np.ndarray
    lasting: int
    temporary: int


@functools.cache
def trained(model: str, mesh: str) -> Trained:
    experiment = dataclasses.replace(TINY, model=MODELS[model], mesh=MESHES[mesh])
    program = make_program(experiment)
    batches = (
        meshes.place_batch(batch_of(step, experiment.model.image_size), program.mesh) for step in range(NUM_STEPS)
    )
    state, losses, compiled = fresh_state(experiment, program), [], None
    for batch in batches:
        compiled = compiled or program.train_step.lower(state, batch).compile()
        state, outcome = compiled(state, batch)
        losses.append(float(outcome.loss))
    assert meshes.shardings_of(state) == meshes.shardings_of(program.abstract)
    memory = compiled.memory_analysis()
    return Trained(losses=np.array(losses), lasting=memory.argument_size_in_bytes, temporary=memory.temp_size_in_bytes)


@pytest.mark.parametrize(
    ("model", "mesh"),
    [
        pytest.param(model, mesh, marks=[] if (model, mesh) == ("vit", "2x2x2") else pytest.mark.full)
        for model in MODELS
        for mesh in (*MESHES,)[1:]
    ],
)
def test_losses_do_not_depend_on_the_mesh(model: str, mesh: str):
    np.testing.assert_allclose(trained(model, mesh).losses, trained(model, "one").losses, rtol=0, atol=1e-5)


def test_each_device_holds_a_part():
    one, split = trained("vit", "one"), trained("vit", "2x2x2")
    assert split.lasting < 0.35 * one.lasting
    assert split.temporary < 0.35 * one.temporary


@pytest.mark.full
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("mesh", "share"), [("fsdp8", 1 / 8), ("dp4_tp2", 1 / 2), ("2x2x2", 1 / 4)])
def test_memory_of_the_state_falls_with_the_devices_that_it_is_split_over(model: str, mesh: str, share: float):
    copied, split = trained(model, "dp8"), trained(model, mesh)
    assert share * copied.lasting <= split.lasting < 1.35 * share * copied.lasting
    assert split.temporary < copied.temporary


def test_heads_that_tensor_does_not_divide_are_refused_before_anything_is_compiled():
    with pytest.raises(ConfigError, match="tensor 4 does not divide the number of heads 2, 4"):
        make_program(dataclasses.replace(TINY, model=MODELS["swin"], mesh=MeshConfig(tensor=4)))
