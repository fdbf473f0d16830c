"""What a run executes on its devices."""

import dataclasses

import jax
import optax
from jax.sharding import Mesh

from gauss_vit.train import mesh as meshes
from gauss_vit.train import moving_average
from gauss_vit.train.config import Training
from gauss_vit.train.optim import optimizer as optimizers
from gauss_vit.train.optim.schedule import LearningRate
from gauss_vit.train.run import Run
from gauss_vit.train.state import TrainState, abstract_model, abstract_state, init_state, place_state
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
    check_batch_sizes(run.training, mesh)
    model = abstract_model(run.build)
    transform = optimizers.make(run.optimizer, model.params, run.training.num_steps)
    decay = run.training.ema_decay
    state = jax.eval_shape(lambda start: moving_average.begin(start, decay), abstract_state(model.params, transform))
    abstract = meshes.with_shardings(mesh, state)
    forward = Forward(graph=model.graph, task=run.task, normalization=run.normalization)
    return Program(
        mesh=mesh,
        abstract=abstract,
        transform=transform,
        learning_rate=optimizers.learning_rate(run.optimizer, run.training.num_steps),
        train_step=make_train_step(
            forward,
            transform,
            mesh=mesh,
            seed=run.seed,
            state=abstract,
            num_parts=run.training.accumulate,
            ema_decay=decay,
        ),
        eval_step=make_eval_step(forward, mesh=mesh, params=abstract.params),
    )


def check_batch_sizes(training: Training, mesh: Mesh) -> None:
    """Makes sure that every device gets the same number of examples of each batch, and of each part of it.

    Raises:
      ConfigError: a size is not divisible by the number of devices.
    """
    name = "training.batch_size" if training.accumulate == 1 else "training.batch_size / training.accumulate"
    meshes.check_batch_size(name, training.batch_size // training.accumulate, mesh)
    meshes.check_batch_size("training.eval_batch_size", training.eval_batch_size, mesh)


def fresh_state(run: Run, program: Program) -> TrainState:
    """Makes the state that a run starts from: of its initial parameters, or drawn out of its seed."""
    if run.initial is None:
        state = init_state(run.build, program.transform, mesh=program.mesh, seed=run.seed)
    else:
        state = place_state(run.initial, program.transform, mesh=program.mesh)
    return moving_average.begin(state, run.training.ema_decay)
