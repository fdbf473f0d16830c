"""One update: traced once, donated, the same on every mesh, and never applied when it is not finite."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import Mesh

from gauss_vit.models.compute import Compute
from gauss_vit.models.presets.vit import RELPOS_SMALL
from gauss_vit.models.vit import ViTConfig
from gauss_vit.ops.losses import cross_entropy
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.position.position import with_terms
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.tasks.classification import Classification
from gauss_vit.tasks.evaluator import TaskMetric
from gauss_vit.train import mesh as meshes
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.optim import SGD, AdamW, Constant, Optimizer, Schedule
from gauss_vit.train.optim.optimizer import make
from gauss_vit.train.state import TrainState, abstract_model, init_state, run_key
from gauss_vit.train.step import Forward, Outcome, TrainStep, audited_paths, make_eval_step, make_train_step
from tests import compilations
from tests.networks import classifier
from tests.train.toy import Toy, batch_of, build

CONSTANT = Schedule(curve=Constant())
ADAMW = Optimizer(rule=AdamW(), learning_rate=0.01, weight_decay=0.05, schedule=CONSTANT)
MOMENTUM = Optimizer(rule=SGD(momentum=0.9), learning_rate=0.01, weight_decay=0.05, schedule=CONSTANT)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bench:
    """A step ready to run."""

    mesh: Mesh
    forward: Forward
    step: TrainStep
    state: TrainState

    def go(self, num_steps: int, *, batch_size: int = 16) -> tuple[TrainState, list[Outcome]]:
        state, outcomes = self.state, []
        for step in range(num_steps):
            state, outcome = self.step(state, meshes.place_batch(batch_of(step, batch_size), self.mesh))
            outcomes.append(outcome)
        return state, outcomes


def bench(data: int = 1, fsdp: int = 1, *, optimizer: Optimizer = ADAMW) -> Bench:
    """Shares a step with all tests that ask for the same, and gives each a state of its own: steps donate theirs."""
    made, state = first_bench(data, fsdp, optimizer)
    return dataclasses.replace(made, state=jax.device_put(state, jax.tree.map(lambda leaf: leaf.sharding, made.state)))


@functools.cache
def first_bench(data: int, fsdp: int, optimizer: Optimizer) -> tuple[Bench, TrainState]:
    made = new_bench(data, fsdp, optimizer=optimizer)
    return made, jax.device_get(made.state)


def new_bench(data: int = 1, fsdp: int = 1, *, optimizer: Optimizer = ADAMW, seed: int = 0) -> Bench:
    mesh = meshes.make(MeshConfig(data=data, fsdp=fsdp), jax.devices())
    model = abstract_model(build)
    transform = make(optimizer, model.params, 100)
    normalization = Normalization(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    forward = Forward(graph=model.graph, task=Classification(), normalization=normalization)
    state = init_state(build, transform, mesh=mesh, seed=seed)
    step = make_train_step(forward, transform, mesh=mesh, seed=seed, state=state)
    return Bench(mesh=mesh, forward=forward, step=step, state=state)


def losses(outcomes: list[Outcome]) -> np.ndarray:
    return np.asarray([outcome.loss for outcome in outcomes])


@pytest.mark.parametrize(("data", "fsdp"), [(8, 1), (2, 4), (1, 8)])
@pytest.mark.parametrize("optimizer", [ADAMW, MOMENTUM])
def test_losses_are_the_same_on_one_and_on_eight_devices(data: int, fsdp: int, optimizer: Optimizer):
    together, alone = new_bench(data, fsdp, optimizer=optimizer), losses(bench(optimizer=optimizer).go(8)[1])
    np.testing.assert_allclose(losses(together.go(8)[1]), alone, rtol=1e-5, atol=1e-5)


def test_update_is_the_gradient_of_the_loss_through_the_optimizer():
    setup = bench(optimizer=Optimizer(rule=SGD(momentum=0.0), learning_rate=0.5, weight_decay=0.0, schedule=CONSTANT))
    batch, params = jax.tree.map(jnp.asarray, batch_of(0, 16)), jax.device_get(setup.state.params)
    key = jax.random.fold_in(run_key(0), 0)

    def loss(params: dict) -> jax.Array:
        outputs = nnx.merge(setup.forward.graph, params)(setup.forward.normalization(batch.image), key=key)
        return jnp.mean(cross_entropy(outputs, batch.targets.label))

    gradients = jax.jit(jax.grad(loss))(params)
    expected = jax.tree.map(lambda leaf, gradient: leaf - 0.5 * gradient, params, gradients)
    state, outcomes = setup.go(1)
    chex.assert_trees_all_close(state.params, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(outcomes[0].gradient_norm, optax.tree.norm(gradients), rtol=1e-5)


def test_step_is_compiled_once():
    setup = new_bench(2, 4)
    with compilations.counted() as compiled:
        setup.go(5)
    assert compiled["train_step"] == 1


def test_step_is_traced_once_in_python():
    traces = []

    class Counting(Toy):
        def __call__(self, images, *, key=None, targets=None):
            traces.append(images.shape)
            return super().__call__(images, key=key)

    mesh = meshes.make(MeshConfig(data=8), jax.devices())
    graph = nnx.split(nnx.eval_shape(lambda: Counting(key=jax.random.key(0))))[0]
    setup = bench(8)
    forward = dataclasses.replace(setup.forward, graph=graph)
    transform = make(ADAMW, setup.state.params, 100)
    step = make_train_step(forward, transform, mesh=mesh, seed=0, state=setup.state)
    dataclasses.replace(setup, step=step).go(4)
    assert traces == [(16, 4, 6, 3)]


def test_state_is_donated():
    setup = bench(8)
    setup.go(1)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(setup.state))


def test_state_leaves_with_the_shardings_that_it_came_with():
    setup = bench(2, 4)
    before = jax.tree.map(lambda leaf: leaf.sharding, setup.state)
    state, _ = setup.go(2)
    assert jax.tree.leaves(jax.tree.map(lambda leaf: leaf.sharding, state)) == jax.tree.leaves(before)


def test_randomness_comes_from_seed_and_step_alone():
    first, again = losses(bench().go(3)[1]), losses(new_bench().go(3)[1])
    np.testing.assert_array_equal(first, again)
    setup = bench()
    batch = meshes.place_batch(batch_of(0, 16), setup.mesh)
    later = dataclasses.replace(setup.state, step=setup.state.step + 1)
    assert setup.step(later, batch)[1].loss != first[0]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_update_that_is_not_finite_is_not_applied(bad: float):
    setup = bench()
    kernel = setup.state.params["kernel"].at[0, 0].set(bad)
    state = dataclasses.replace(setup.state, params={**setup.state.params, "kernel": kernel})
    before = jax.device_get(state)
    after, outcome = setup.step(state, meshes.place_batch(batch_of(0, 16), setup.mesh))
    assert not outcome.is_finite
    chex.assert_trees_all_equal(jax.device_get(after), before)
    assert audited_paths(before)[int(outcome.first_bad)] == "0.loss"


def test_parameter_that_overflows_in_the_update_is_found():
    setup = bench(optimizer=Optimizer(rule=SGD(momentum=0.9), learning_rate=3e38, weight_decay=0.0, schedule=CONSTANT))
    after, outcomes = setup.go(1)
    assert np.isfinite(outcomes[0].loss) and not outcomes[0].is_finite
    assert audited_paths(setup.state)[int(outcomes[0].first_bad)].startswith("2.params.")
    chex.assert_tree_all_finite(jax.device_get(after))


def test_metric_counts_real_examples_only():
    setup = bench(8)
    batch = dataclasses.replace(batch_of(0, 16), is_real=np.arange(16) < 11)
    eval_step = make_eval_step(setup.forward, mesh=setup.mesh, params=setup.state.params, measure=TaskMetric())
    metric = eval_step(setup.state.params, meshes.place_batch(batch, setup.mesh))
    assert metric.num_examples == 11


def test_evaluation_has_no_dropout_and_keeps_the_parameters():
    setup = bench()
    eval_step = make_eval_step(setup.forward, mesh=setup.mesh, params=setup.state.params, measure=TaskMetric())
    batch = meshes.place_batch(batch_of(0, 16), setup.mesh)
    metric = eval_step(setup.state.params, batch)
    outputs = setup.forward.outputs(setup.state.params, batch)
    chex.assert_trees_all_close(metric, Classification().measure(outputs, batch), rtol=1e-6)


def test_batch_of_one_is_a_batch():
    state, outcomes = bench().go(2, batch_size=1)
    assert int(state.step) == 2 and all(outcome.is_finite for outcome in outcomes)


class HalfPrecision(Toy):
    """Computes in bfloat16, as a model with that type of activations does."""

    def __call__(self, images, *, key=None, targets=None):
        assert images.dtype == jnp.float32
        flat = images.reshape(images.shape[0], -1).astype(jnp.bfloat16)
        return flat @ self.kernel[...].astype(jnp.bfloat16)


def test_parameters_and_loss_stay_float32_when_the_model_computes_in_bfloat16():
    setup = bench()
    graph = nnx.split(nnx.eval_shape(lambda: HalfPrecision(key=jax.random.key(0))))[0]
    transform = make(ADAMW, setup.state.params, 100)
    forward = dataclasses.replace(setup.forward, graph=graph)
    step = make_train_step(forward, transform, mesh=setup.mesh, seed=0, state=setup.state)
    state, outcomes = dataclasses.replace(setup, step=step).go(3)
    assert outcomes[-1].loss.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(state.params)} == {jnp.dtype("float32")}
    assert outcomes[-1].is_finite


def test_training_lowers_the_loss():
    values = losses(bench(8).go(40)[1])
    assert values[-5:].mean() < 0.5 * values[:5].mean()


def test_padding_has_no_gradient():
    setup, again = bench(), bench()
    padded = batch_of(0, 16)
    mask = np.arange(16) < 8
    padded = dataclasses.replace(padded, is_real=mask)
    other = dataclasses.replace(padded, image=np.where(mask[:, None, None, None], padded.image, np.uint8(9)))
    states = [
        bench_.step(bench_.state, meshes.place_batch(batch, bench_.mesh))[0]
        for bench_, batch in ((setup, padded), (again, other))
    ]
    chex.assert_trees_all_equal(states[0].params, states[1].params)


def vision_transformer(dtype: str) -> ViTConfig:
    """Makes a small transformer with the Gaussian bias, dropout and non-square images."""
    return with_terms(
        dataclasses.replace(
            RELPOS_SMALL,
            image_size=(4, 6),
            patch_size=(2, 2),
            width=16,
            depth=2,
            num_heads=2,
            layer_scale=None,
            stochastic_depth=0.1,
            projection_dropout=0.1,
            compute=Compute(dtype=dtype),
        ),
        Gaussian(),
    )


def transformer_bench(data: int, fsdp: int, *, dtype: str = "float32") -> Bench:
    make_model = classifier(vision_transformer(dtype), 3).make

    setup, model = bench(data, fsdp), abstract_model(make_model)
    transform = make(ADAMW, model.params, 100)
    state = init_state(make_model, transform, mesh=setup.mesh, seed=0)
    forward = dataclasses.replace(setup.forward, graph=model.graph)
    step = make_train_step(forward, transform, mesh=setup.mesh, seed=0, state=state)
    return dataclasses.replace(setup, forward=forward, state=state, step=step)


@pytest.fixture(scope="module")
def losses_on_one_device() -> np.ndarray:
    return losses(transformer_bench(1, 1).go(4)[1])


@pytest.mark.full  # The default tier compares a model without blocks here, and a whole one in `test_sharded_steps.py`.
@pytest.mark.parametrize(("data", "fsdp"), [(8, 1), (2, 4)])
def test_vision_transformer_has_the_same_losses_on_one_and_on_eight_devices(
    data: int, fsdp: int, losses_on_one_device: np.ndarray
):
    together = transformer_bench(data, fsdp)
    with compilations.counted() as compiled:
        found = losses(together.go(4)[1])
    assert compiled["train_step"] == 1
    np.testing.assert_allclose(found, losses_on_one_device, rtol=1e-5, atol=1e-5)


def test_vision_transformer_in_bfloat16_learns_its_gaussian_in_float32():
    setup = transformer_bench(8, 1, dtype="bfloat16")
    before = jax.device_get(setup.state.params["backbone"]["blocks"]["attention"]["bias"]["gaussian"])
    state, outcomes = setup.go(2)
    after = jax.device_get(state.params["backbone"]["blocks"]["attention"]["bias"]["gaussian"])
    assert all(outcome.is_finite for outcome in outcomes)
    assert {leaf.dtype for leaf in jax.tree.leaves(state.params)} == {jnp.dtype("float32")}
    assert all(np.all(after[name] != before[name]) for name in ("amplitude", "sigma"))
