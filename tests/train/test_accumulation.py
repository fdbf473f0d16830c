"""A batch in parts has the loss, the gradient and the counts of the whole."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.batches import Batch
from gauss_vit.ops.erasing import Erasing
from gauss_vit.ops.mixing import Mixing
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.tasks.classification import Classification
from gauss_vit.train import mesh as meshes
from gauss_vit.train.accumulation import split
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.optim import SGD, Constant, Optimizer, Schedule
from gauss_vit.train.optim.optimizer import make
from gauss_vit.train.state import TrainState, abstract_model, init_state
from gauss_vit.train.step import Forward, Outcome, make_train_step
from tests import compilations
from tests.train.toy import Toy, batch_of

CLIPPED = Optimizer(
    rule=SGD(momentum=0.9),
    learning_rate=0.1,
    weight_decay=0.01,
    schedule=Schedule(curve=Constant()),
    max_gradient_norm=0.5,
)
AUGMENTED = Classification(label_smoothing=0.1, erasing=Erasing(probability=0.5), mixing=Mixing(mixup=0.8, cutmix=1.0))


class Plain(Toy):
    """The toy without dropout."""

    def __call__(self, images, *, key=None, targets=None):
        return super().__call__(images, key=None)


def build(key: jax.Array) -> Plain:
    return Plain(key=key)


def after_two_steps(
    num_parts: int, *, data: int = 1, task: Classification = AUGMENTED, num_real: int = 32
) -> tuple[TrainState, list[Outcome]]:
    mesh = meshes.make(MeshConfig(data=data), jax.devices())
    model = abstract_model(build)
    transform = make(CLIPPED, model.params, 100)
    state = init_state(build, transform, mesh=mesh, seed=0)
    normalization = Normalization(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    forward = Forward(graph=model.graph, task=task, normalization=normalization)
    step = make_train_step(forward, transform, mesh=mesh, seed=0, state=state, num_parts=num_parts)
    outcomes = []
    with compilations.counted() as compiled:
        for index in range(2):
            state, outcome = step(state, meshes.place_batch(padded(batch_of(index, 32), num_real), mesh))
            outcomes.append(jax.device_get(outcome))
    assert compiled["train_step"] == 1
    return jax.device_get(state), outcomes


def padded(batch: Batch, num_real: int) -> Batch:
    return dataclasses.replace(batch, is_real=np.arange(len(batch.is_real)) < num_real)


@pytest.mark.parametrize("num_real", [32, 11])
def test_four_parts_of_eight_are_one_batch_of_thirty_two(num_real: int):
    whole, one = after_two_steps(1, num_real=num_real)
    parts, four = after_two_steps(4, num_real=num_real)
    # Float32 sums in another order; gradients are clipped to 0.5 after they are summed.
    chex.assert_trees_all_close(parts, whole, rtol=1e-6, atol=1e-6)
    for first, second in zip(one, four, strict=True):
        assert second.loss == pytest.approx(first.loss, rel=1e-6)
        assert second.gradient_norm == pytest.approx(first.gradient_norm, rel=1e-5)
        assert (second.metric.num_top1, second.metric.num_examples) == (first.metric.num_top1, num_real)


class Pixels(Classification):
    """Weighs every example by the number of its bright pixels, as segmentation weighs what has a class."""

    def loss(self, outputs, examples, *, key):
        pixels = jnp.sum(examples.image > 0, axis=(1, 2, 3), dtype=jnp.float32)
        weight = jnp.where(examples.batch.is_real, pixels, 0)
        return jnp.sum(self.losses(outputs, examples.targets) * weight), jnp.sum(weight)


@pytest.mark.parametrize("data", [1, 8])
def test_what_the_loss_runs_over_counts_the_same_in_every_part(data: int):
    whole, one = after_two_steps(1, task=Pixels())
    parts, four = after_two_steps(4, data=data, task=Pixels())
    chex.assert_trees_all_close(parts.params, whole.params, rtol=1e-5, atol=1e-5)
    for first, second in zip(one, four, strict=True):
        assert second.loss == pytest.approx(first.loss, rel=1e-5)
    assert one[0].loss != pytest.approx(after_two_steps(1, task=Classification())[1][0].loss, rel=1e-3)


def test_batch_without_weight_has_no_loss_and_no_gradient():
    for num_parts in (1, 4):
        _, outcomes = after_two_steps(num_parts, num_real=0)
        assert [float(outcome.loss) for outcome in outcomes] == [0.0, 0.0]
        assert [float(outcome.gradient_norm) for outcome in outcomes] == [0.0, 0.0]


def test_parts_on_eight_devices_are_the_whole_on_one():
    whole, _ = after_two_steps(1)
    parts, _ = after_two_steps(4, data=8)
    chex.assert_trees_all_close(parts.params, whole.params, rtol=1e-5, atol=1e-5)


def test_every_example_is_in_one_part_and_no_device_sends_any():
    mesh = meshes.make(MeshConfig(data=8), jax.devices())
    numbers = jax.device_put(np.arange(32, dtype=np.int32), meshes.batch_sharding(mesh))
    parts = jax.jit(lambda leaf: split(leaf, 4, mesh))(numbers)
    np.testing.assert_array_equal(parts, np.arange(32).reshape(8, 4).T)
    for shard in numbers.addressable_shards:
        here = next(part for part in parts.addressable_shards if part.device == shard.device)
        assert set(np.ravel(here.data)) == set(np.ravel(shard.data))
