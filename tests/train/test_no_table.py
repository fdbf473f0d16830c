"""A short training in which the parameters of rotary embeddings and of Gaussians of queries move."""

import dataclasses

import numpy as np
import pytest

from gauss_vit.batches import Batch, ClassTargets
from gauss_vit.position import Gaussian, MixedRotary, Position, QueryGaussian
from gauss_vit.train import mesh as meshes
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.program import fresh_state, make_program
from gauss_vit.tree import flatten_paths
from tests.tiny_config import get_config

TINY = get_config()
MODEL = dataclasses.replace(
    TINY.model,
    width=32,
    num_heads=4,
    position=Position(terms=(Gaussian(sigma=1.0),), rotary=MixedRotary(), query_gaussian=QueryGaussian()),
    refines_patches=True,
)
NUM_STEPS, BATCH_SIZE = 4, 16


def batch_of(step):
    random = np.random.default_rng(step)
    return Batch(
        image=random.integers(256, size=(BATCH_SIZE, *MODEL.image_size, 3)).astype(np.uint8),
        is_real=np.ones(BATCH_SIZE, bool),
        targets=ClassTargets(label=random.integers(10, size=BATCH_SIZE).astype(np.int32)),
    )


def trained(mesh):
    """Losses, and the parameters before and after."""
    experiment = dataclasses.replace(TINY, model=MODEL, mesh=mesh)
    program = make_program(experiment)
    state, losses = fresh_state(experiment, program), []
    before = {path: np.array(leaf) for path, leaf in flatten_paths(state.params).items()}
    for step in range(NUM_STEPS):
        state, outcome = program.train_step(state, meshes.place_batch(batch_of(step), program.mesh))
        losses.append(float(outcome.loss))
    return losses, before, {path: np.asarray(leaf) for path, leaf in flatten_paths(state.params).items()}


def test_parameters_move_in_every_layer_and_losses_do_not_depend_on_the_mesh():
    losses, before, after = trained(MeshConfig(data=2, fsdp=2, tensor=2, whole_below=0))
    own = [path for path in before if ".rotary." in path or ".query_gaussian." in path]
    assert len(own) == 5
    for path in own:
        moved = np.abs(after[path] - before[path]).reshape(MODEL.depth, -1).max(axis=1)
        assert np.isfinite(moved).all() and (moved > 1e-4).all(), path
    assert losses == pytest.approx(trained(MeshConfig(data=1))[0], abs=1e-5)
