"""The compiled functions of a run, built once from its recipe."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import jax
import optax
from jax.sharding import Mesh
from jaxtyping import PyTree

from gauss_vit.config.schema import JsonValue
from gauss_vit.errors import ConfigError
from gauss_vit.models.construct import ModelConfig
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.tasks.evaluator import Evaluator
from gauss_vit.tasks.task import Measure, Task
from gauss_vit.train import mesh as meshes
from gauss_vit.train import moving_average
from gauss_vit.train.config import Training
from gauss_vit.train.limits import Limits
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.optim import optimizer as optimizers
from gauss_vit.train.optim.optimizer import Optimizer
from gauss_vit.train.optim.schedule import LearningRate
from gauss_vit.train.state import AbstractModel, TrainState, abstract_model, abstract_state, init_state, place_state
from gauss_vit.train.step import EvalStep, Forward, TrainStep, make_eval_step, make_train_step


@runtime_checkable
class Recipe(Protocol):
    """Everything that decides the numbers of a run besides its data; an experiment is one."""

    @property
    def task(self) -> Task:
        """Task: the loss and the metrics."""
        ...

    @property
    def normalization(self) -> Normalization:
        """Mean and deviation that normalise image bytes for the model."""
        ...

    @property
    def optimizer(self) -> Optimizer:
        """Optimizer with its learning-rate schedule."""
        ...

    @property
    def evaluators(self) -> tuple[Evaluator, ...]:
        """Evaluations during training."""
        ...

    @property
    def training(self) -> Training:
        """Length of the run, and how often it reports, observes and saves."""
        ...

    @property
    def mesh(self) -> MeshConfig:
        """Number of devices on each axis of the mesh."""
        ...

    @property
    def limits(self) -> Limits:
        """Longest waits."""
        ...

    @property
    def seed(self) -> int:
        """Seed of parameters, dropout and augmentation."""
        ...

    @property
    def network(self) -> ModelConfig:
        """Network to train; its `make` builds it with random parameters."""
        ...

    def to_json(self) -> Mapping[str, JsonValue]:
        """Converts the recipe to JSON, which is stored with every checkpoint and compared on resume."""
        ...

    def with_defaults(self, recorded: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
        """Adds the defaults of newer fields to a recipe that an earlier version stored."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
    """The functions of a run; each is compiled at its first call. Runs of one recipe can share a program.

    Attributes:
      mesh: Devices of the run.
      model: Structure of the model, and shapes of its parameters.
      abstract: Shapes, types and shardings of the train state.
      transform: Gradient transformation of the optimizer.
      learning_rate: Learning rate as a function of the step, for the report.
      train_step: Function that makes one update.
      eval_steps: Functions that compute the results of one batch, by measure.
    """

    mesh: Mesh
    model: AbstractModel
    abstract: TrainState
    transform: optax.GradientTransformation
    learning_rate: LearningRate
    train_step: TrainStep
    eval_steps: Mapping[Measure, EvalStep]


def make_program(recipe: Recipe) -> Program:
    """Checks that a recipe fits the devices, and builds its functions; compiles and computes nothing.

    Raises:
      ConfigError: the mesh or a batch size does not fit the devices, or the optimizer does not fit the model or the
        length of the run.
    """
    training = recipe.training
    mesh = meshes.make(recipe.mesh, jax.devices())
    check_batch_sizes(training, mesh)
    model = abstract_model(recipe.network.make)
    meshes.check_heads(model.num_heads, mesh)
    statistics = model.statistics
    check_accumulation(training, statistics)
    transform = optimizers.make(
        recipe.optimizer, model.params, training.total_steps, undecayed=model.undecayed, statistics=statistics
    )
    decay = training.ema_decay
    state = jax.eval_shape(lambda start: moving_average.begin(start, decay), abstract_state(model.params, transform))
    abstract = meshes.with_shardings(mesh, state, whole_below=recipe.mesh.whole_below)
    forward = Forward(graph=model.graph, task=recipe.task, normalization=recipe.normalization)
    return Program(
        mesh=mesh,
        model=model,
        abstract=abstract,
        transform=transform,
        learning_rate=optimizers.learning_rate(recipe.optimizer, training.total_steps),
        train_step=make_train_step(
            forward,
            transform,
            mesh=mesh,
            seed=recipe.seed,
            state=abstract,
            num_parts=training.accumulate,
            ema_decay=decay,
        ),
        eval_steps={
            measure: make_eval_step(forward, mesh=mesh, params=abstract.params, measure=measure)
            for measure in {evaluator.measure: None for evaluator in recipe.evaluators}
        },
    )


def check_batch_sizes(training: Training, mesh: Mesh) -> None:
    """Checks that every device gets the same number of examples of each batch and micro-batch.

    Raises:
      ConfigError: a size is not divisible by the number of devices.
    """
    name = "training.batch_size" if training.accumulate == 1 else "training.batch_size / training.accumulate"
    meshes.check_batch_size(name, training.batch_size // training.accumulate, mesh)
    meshes.check_batch_size("training.eval_batch_size", training.eval_batch_size, mesh)


def check_accumulation(training: Training, statistics: Sequence[str]) -> None:
    """Checks that a network with batch normalisation sees whole batches.

    Raises:
      ConfigError: there are micro-batches, each of which would have statistics of its own.
    """
    if training.accumulate > 1 and statistics:
        message = f"training.accumulate is {training.accumulate}, but {statistics[0]} is a statistic of a whole batch"
        raise ConfigError(message, do="set training.accumulate=1, and add devices or model.compute.remat for memory")


def fresh_state(recipe: Recipe, program: Program, params: PyTree = None) -> TrainState:
    """Builds the state of step 0 from given parameters, or from parameters drawn with the seed where there are none."""
    mesh, whole_below = program.mesh, recipe.mesh.whole_below
    if params is None:
        make = recipe.network.make
        state = init_state(make, program.transform, mesh=mesh, seed=recipe.seed, whole_below=whole_below)
    else:
        state = place_state(params, program.transform, mesh=mesh, whole_below=whole_below)
    return moving_average.begin(state, recipe.training.ema_decay)
