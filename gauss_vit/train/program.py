"""What a run executes on its devices."""

import dataclasses

import jax
import optax
from jax.sharding import Mesh

from gauss_vit.train import mesh as meshes
from gauss_vit.train import optimizer as optimizers
from gauss_vit.train.run import Run
from gauss_vit.train.schedule import LearningRate
from gauss_vit.train.state import TrainState, abstract_model, abstract_state, init_state
from gauss_vit.train.step import EvalStep, Forward, TrainStep, make_eval_step, make_train_step


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
    """The functions of a run; they are compiled at their first calls.

    Attributes:
      mesh: the devices.
      abstract: the train state's shapes, types and shardings.
      transform: the optimizer.
      learning_rate: of a step, for the report.
      train_step: one update.
      eval_step: the metric of one batch.
    """

    mesh: Mesh
    abstract: TrainState
    transform: optax.GradientTransformation
    learning_rate: LearningRate
    train_step: TrainStep
    eval_step: EvalStep


def make_program(run: Run) -> Program:
    """Checks that a run fits its devices, and makes its functions; compiles and computes nothing.

    Raises:
      ConfigError: it does not fit.
    """
    mesh = meshes.make(run.mesh, jax.devices())
    meshes.check_batch_size("training.batch_size", run.training.batch_size, mesh)
    meshes.check_batch_size("training.eval_batch_size", run.training.eval_batch_size, mesh)
    model = abstract_model(run.build)
    transform = optimizers.make(run.optimizer, model.params, run.training.num_steps)
    abstract = meshes.with_shardings(mesh, abstract_state(model.params, transform))
    forward = Forward(graph=model.graph, task=run.task, normalization=run.normalization)
    return Program(
        mesh=mesh,
        abstract=abstract,
        transform=transform,
        learning_rate=optimizers.learning_rate(run.optimizer, run.training.num_steps),
        train_step=make_train_step(forward, transform, mesh=mesh, seed=run.seed, state=abstract),
        eval_step=make_eval_step(forward, mesh=mesh, params=abstract.params),
    )


def fresh_state(run: Run, program: Program) -> TrainState:
    """Draws the state that a run starts from, out of its seed."""
    return init_state(run.build, program.transform, mesh=program.mesh, seed=run.seed)
