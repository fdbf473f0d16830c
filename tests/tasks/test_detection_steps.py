"""Training steps of a small Mask R-CNN, on one device and on eight, with images without objects and with padding."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from gauss_vit.batches import Batch
from gauss_vit.tasks.detection import Detection
from gauss_vit.train import mesh as meshes
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.optim import AdamW, Constant, Optimizer, Schedule
from gauss_vit.train.program import Program, fresh_state, make_program
from tests.heads.detectors import HEAD, NETWORK, SIZE, params_of, targets_of
from tests.tasks.shapes import TRAINING, ShapesRecipe

NUM_STEPS, BATCH_SIZE, ONE = 3, 8, MeshConfig(data=1)
RECIPE = ShapesRecipe(
    training=dataclasses.replace(TRAINING, batch_size=BATCH_SIZE, accumulate=1, ema_decay=None, best=None),
    network=NETWORK,
    task=Detection(head=HEAD),
    evaluators=(),
    optimizer=Optimizer(rule=AdamW(), learning_rate=1e-3, weight_decay=0.05, schedule=Schedule(curve=Constant())),
)


def batch_of(step: int, size: tuple[int, int] = SIZE) -> Batch:
    """Noise with discs, which the second image lacks; a third image is smaller, and the last one is padding."""
    random = np.random.default_rng(step)
    targets = jax.tree.map(np.array, targets_of(BATCH_SIZE, size=size))
    targets.size[2] = 40, 56
    targets.size[-1], targets.boxes.yxyx[-1] = 0, 0
    return Batch(
        image=random.integers(256, size=(BATCH_SIZE, *size, 3)).astype(np.uint8),
        is_real=np.arange(BATCH_SIZE) < BATCH_SIZE - 1,
        targets=targets,
    )


@functools.cache
def program(mesh: MeshConfig) -> Program:
    return make_program(dataclasses.replace(RECIPE, mesh=mesh))


@functools.cache
def trained(mesh: MeshConfig, sizes: tuple[tuple[int, int], ...] = (SIZE,)) -> tuple[np.ndarray, dict[str, float]]:
    """The losses of all steps, and the last metric."""
    built, losses = program(mesh), []
    state = fresh_state(dataclasses.replace(RECIPE, mesh=mesh), built, params_of(NETWORK))
    for step in range(NUM_STEPS):
        batch = meshes.place_batch(batch_of(step, sizes[step % len(sizes)]), built.mesh)
        state, outcome = built.train_step(state, batch)
        assert outcome.is_finite
        losses.append(float(outcome.loss))
    return np.asarray(losses), outcome.metric.compute()


@pytest.mark.full
@pytest.mark.parametrize("mesh", [MeshConfig(data=8), MeshConfig(data=2, fsdp=4, whole_below=0)], ids=["data", "fsdp"])
def test_losses_do_not_depend_on_the_mesh(mesh: MeshConfig):
    (one, metric), (many, _) = trained(ONE), trained(mesh)
    np.testing.assert_allclose(many, one, rtol=0, atol=1e-5)
    assert metric["num_examples"] == BATCH_SIZE - 1
    assert metric["loss"] == pytest.approx(one[-1], rel=1e-5)


@pytest.mark.full
def test_every_size_of_batches_is_compiled_once():
    trained(ONE, (SIZE, (64, 64)))
    trained(ONE, ((64, 64), SIZE))
    assert program(ONE).train_step._cache_size() == 2
