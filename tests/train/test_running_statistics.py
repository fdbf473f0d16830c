"""Running statistics of a network: followed over whole batches, left alone by the optimizer, stored and resumed."""

import dataclasses
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from gauss_vit.errors import ConfigError
from gauss_vit.train.checkpoint.reader import restore_params
from gauss_vit.train.loop import fit
from gauss_vit.train.mesh import MeshConfig, place_batch
from gauss_vit.train.optim import AdamW, Constant, Optimizer, Schedule
from gauss_vit.train.program import fresh_state, make_program
from gauss_vit.train.run import Run
from gauss_vit.train.state import TrainState
from tests.train.toy import CLASSES, TRAINING, ToyRecipe, batch_of, feed

MOMENTUM = 0.1
DECAYED = Optimizer(rule=AdamW(), learning_rate=0.1, weight_decay=0.5, schedule=Schedule(curve=Constant()))


class Centred(nnx.Module):
    """Classifies the mean colour, centred by that of the batch in training and by a running one in inference."""

    def __init__(self, *, key: PRNGKeyArray):
        self.kernel = nnx.Param(jax.random.normal(key, (3, CLASSES), jnp.float32))
        self.colour = nnx.BatchStat(jnp.zeros(3, jnp.float32))

    def __call__(
        self, images: Float[Array, "batch height width 3"], *, key: PRNGKeyArray | None = None, targets: PyTree = None
    ) -> Float[Array, "batch classes"]:
        colours = jnp.mean(images, axis=(1, 2))
        centre = self.colour[...]
        if key is not None:
            centre = jnp.mean(colours, axis=0)
            self.colour[...] = (1 - MOMENTUM) * self.colour[...] + MOMENTUM * centre
        return (colours - centre[None, :]) @ self.kernel[...]


@dataclasses.dataclass(frozen=True)
class CentredConfig:
    """The network as a value."""

    def make(self, key: PRNGKeyArray) -> nnx.Module:
        return Centred(key=key)


def recipe_of(**changes: object) -> ToyRecipe:
    return ToyRecipe(**{"network": CentredConfig(), "optimizer": DECAYED, "training": TRAINING, **changes})


def steps_on(num_devices: int, num_steps: int) -> TrainState:
    recipe = recipe_of(mesh=MeshConfig(data=num_devices))
    program = make_program(recipe)
    state = fresh_state(recipe, program)
    for step in range(num_steps):
        state, _ = program.train_step(state, place_batch(batch_of(step, TRAINING.batch_size), program.mesh))
    return state


def followed(num_steps: int) -> np.ndarray:
    """The running colour, computed with NumPy."""
    running = np.zeros(3)
    for step in range(num_steps):
        pixels = (batch_of(step, TRAINING.batch_size).image / 255 - 0.5) / 0.25
        running = (1 - MOMENTUM) * running + MOMENTUM * pixels.mean(axis=(0, 1, 2))
    return running


@pytest.mark.parametrize("num_devices", [1, 8])
def test_statistics_are_those_of_whole_batches(num_devices: int):
    state = steps_on(num_devices, num_steps=3)
    np.testing.assert_allclose(state.params["colour"], followed(3), rtol=1e-5)


def test_the_optimizer_keeps_nothing_for_statistics():
    state = steps_on(1, num_steps=1)
    sizes = {leaf.size for leaf in jax.tree.leaves(state.opt_state)}
    assert sizes == {1, 3 * CLASSES}


def test_statistics_are_stored_and_resumed_bit_for_bit(tmp_path: Path):
    recipe = recipe_of(training=dataclasses.replace(TRAINING, ema_decay=0.5))
    whole = Run(workdir=tmp_path / "whole", recipe=recipe, program=make_program(recipe), feed=feed(8, 16))
    fit(whole)
    shorter = recipe_of(training=dataclasses.replace(recipe.training, num_steps=6))
    parts = dataclasses.replace(whole, workdir=tmp_path / "parts")
    fit(dataclasses.replace(parts, recipe=shorter))
    fit(parts)
    stored, resumed = (restore_params(run.workdir, run.program.abstract.params).arrays for run in (whole, parts))
    chex.assert_trees_all_equal(resumed, stored)
    np.testing.assert_allclose(stored["colour"], followed(TRAINING.num_steps), rtol=1e-5)


def test_micro_batches_are_refused():
    with pytest.raises(ConfigError, match=r"training.accumulate is 2, but colour is a statistic of a whole batch"):
        make_program(recipe_of(training=dataclasses.replace(TRAINING, accumulate=2)))
