"""One update and one evaluation of a batch, as functions that are compiled once.

`step(state, batch) -> (state, outcome)` donates the state and fixes the sharding of every array on entry and on exit.
Its random numbers come from the seed and the step in the state, so that a resumed run draws the same ones.
An update that would put a number that is not finite into the state is not applied.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, PRNGKeyArray, PyTree

from gauss_vit.batches import Batch
from gauss_vit.ops.flipping import flip_batch
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.tasks.task import Examples, Measure, Task
from gauss_vit.train import finite, moving_average
from gauss_vit.train.accumulation import Accumulated, LossSums, accumulate
from gauss_vit.train.mesh import batch_sharding, replicated, shardings_of
from gauss_vit.train.state import TrainState, run_key, running_statistics
from gauss_vit.tree import flatten_paths, replaced

# Streams of their own: the model splits the step's key into numbers that start at 0.
_AUGMENTATION, _LOSS = 0x61756721, 0x6C6F7373


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """The results of an update, all scalars.

    Attributes:
      loss: float32, loss of the batch before the update.
      metric: sums of the task's metric over the batch, before the update.
      gradient_norm: float32, global norm before clipping.
      is_finite: bool, whether the update was applied.
      first_bad: int32, index in `audited_paths` of the first array that is not finite; their number where all are.
    """

    loss: PyTree
    metric: PyTree
    gradient_norm: PyTree
    is_finite: PyTree
    first_bad: PyTree


TrainStep = Callable[[TrainState, Batch], tuple[TrainState, Outcome]]
EvalStep = Callable[[PyTree, Batch], PyTree]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Forward:
    """A network without parameters, with its task and the normalisation of its images.

    Attributes:
      graph: Structure of the network, for `flax.nnx.merge`.
      task: Task: the loss and the metrics.
      normalization: Mean and deviation that normalise image bytes.
    """

    graph: nnx.GraphDef
    task: Task
    normalization: Normalization

    def outputs(self, params: PyTree, batch: Batch) -> PyTree:
        """Applies the network to a batch of bytes, in inference; its outputs are widened to float32."""
        network = nnx.merge(self.graph, params)
        return jax.tree.map(_widen, network(self.normalization(batch.image), targets=batch.targets))

    def examples(self, batch: Batch, *, key: PRNGKeyArray) -> Examples:
        """Flips, normalises and augments a training batch."""
        batch = flip_batch(batch)
        return self.task.prepare(self.normalization(batch.image), batch, key=key)

    def loss(self, params: PyTree, examples: Examples, key: PRNGKeyArray) -> LossSums:
        """Computes the sums of the training loss and of the metric, and the new running statistics."""
        network = nnx.merge(self.graph, params)
        outputs = jax.tree.map(_widen, network(examples.image, key=key, targets=examples.targets))
        total, weight = self.task.loss(outputs, examples, key=jax.random.fold_in(key, _LOSS))
        return LossSums(
            total=total,
            weight=weight,
            metric=self.task.measure(outputs, examples.batch),
            statistics=running_statistics(network),
        )


def make_train_step(
    forward: Forward,
    transform: optax.GradientTransformation,
    *,
    mesh: Mesh,
    seed: int,
    state: TrainState,
    num_parts: int = 1,
    ema_decay: float | None = None,
) -> TrainStep:
    """Builds the function of one update, which is compiled at its first call.

    Args:
      forward: Network and task.
      transform: Optimizer.
      mesh: Devices.
      seed: Seed of the run; dropout and augmentation depend on it and on the step.
      state: Train state, or its shapes with shardings.
      num_parts: Number of micro-batches, which are differentiated one after the other.
      ema_decay: Decay of the moving average, if the state has one.
    """

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Outcome]:
        key = jax.random.fold_in(run_key(seed), state.step)
        examples = forward.examples(batch, key=jax.random.fold_in(key, _AUGMENTATION))
        # Custom kernels need the mesh.
        with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
            sums = accumulate(forward.loss, state.params, examples, key=key, num_parts=num_parts, mesh=mesh)
        updated = _update(state, sums, transform, ema_decay=ema_decay)
        audited = finite.floating(_audited(sums.loss, sums.gradients, updated))
        first_bad = finite.first_not_finite(audited)
        is_finite = first_bad == len(jax.tree.leaves(audited))
        updated = jax.tree.map(lambda new, old: jax.lax.select(is_finite, new, old), updated, state)
        outcome = Outcome(
            loss=sums.loss,
            metric=sums.metric,
            gradient_norm=finite.global_norm(sums.gradients),
            is_finite=is_finite,
            first_bad=first_bad,
        )
        return updated, outcome

    at_rest = shardings_of(state)
    entering, leaving = (at_rest, batch_sharding(mesh)), (at_rest, replicated(mesh))
    return jax.jit(train_step, in_shardings=entering, out_shardings=leaving, donate_argnums=0)


def make_eval_step(forward: Forward, *, mesh: Mesh, params: PyTree, measure: Measure) -> EvalStep:
    """Builds the function of a measure's results on one batch; every process gets the results of all rows.

    Args:
      forward: Network and task.
      mesh: Devices.
      params: Parameters, or their shapes with shardings.
      measure: Measure to compute.
    """

    def eval_step(params: PyTree, batch: Batch) -> PyTree:
        with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
            return measure.results(forward.task, forward.outputs(params, batch), batch)

    return _compiled(eval_step, mesh=mesh, params=params)


def make_predict_step(forward: Forward, *, mesh: Mesh, params: PyTree) -> EvalStep:
    """Builds the function of the task's predictions for one batch; every process gets those of all rows.

    Args:
      forward: Network and task.
      mesh: Devices.
      params: Parameters, or their shapes with shardings.
    """

    def predict_step(params: PyTree, batch: Batch) -> PyTree:
        with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
            return forward.task.predict(forward.outputs(params, batch), batch)

    return _compiled(predict_step, mesh=mesh, params=params)


def audited_paths(state: TrainState) -> list[str]:
    """Returns the paths of the arrays that `Outcome.first_bad` is an index into.

    Args:
      state: Train state, or its shapes.
    """
    loss = jax.ShapeDtypeStruct((), jnp.float32)
    return list(flatten_paths(finite.floating(_audited(loss, state.params, state))))


def _compiled(step: EvalStep, *, mesh: Mesh, params: PyTree) -> EvalStep:
    """Compiles a function of parameters and a batch at its first call, with fixed shardings."""
    return jax.jit(step, in_shardings=(shardings_of(params), batch_sharding(mesh)), out_shardings=replicated(mesh))


def _widen(leaf: Array) -> Array:
    return leaf.astype(jnp.float32) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf


def _update(
    state: TrainState, sums: Accumulated, transform: optax.GradientTransformation, *, ema_decay: float | None
) -> TrainState:
    """Applies the optimizer, whose bias correction mixes floats and integers, then statistics and moving average."""
    with jax.numpy_dtype_promotion("standard"):
        updates, opt_state = transform.update(sums.gradients, state.opt_state, state.params)
        params = replaced(optax.apply_updates(state.params, updates), sums.statistics)
    ema = state.ema if ema_decay is None else moving_average.follow(state.ema, params, ema_decay)
    return TrainState(step=state.step + 1, params=params, opt_state=opt_state, ema=ema)


def _audited(loss: PyTree, gradients: PyTree, updated: TrainState) -> tuple[dict[str, PyTree], ...]:
    """Lists all that must be finite, causes before effects."""
    return (
        {"loss": loss},
        {"gradients": gradients},
        {"params": updated.params},
        {"opt_state": updated.opt_state},
    )
