"""A classifier small enough to train in milliseconds, and data that need no files."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from gauss_vit.batches import Batch, ClassTargets
from gauss_vit.config.schema import JsonValue
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.tasks.classification import Classification
from gauss_vit.tasks.evaluator import Evaluator
from gauss_vit.train.config import Training
from gauss_vit.train.limits import Limits
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.optim import AdamW, Constant, Optimizer, Schedule
from gauss_vit.train.program import Program, make_program
from gauss_vit.train.run import Feed, Run

HEIGHT, WIDTH, CLASSES = 4, 6, 3
NUM_EVAL = 37


class Toy(nnx.Module):
    """Scales the pixels by a Gaussian amplitude, drops some in training, and classifies them linearly."""

    def __init__(self, *, key: PRNGKeyArray):
        shape = (HEIGHT * WIDTH * 3, CLASSES)
        self.kernel = nnx.Param(jax.random.normal(key, shape, jnp.float32) * 0.1)
        self.bias = nnx.Param(jnp.zeros((CLASSES,), jnp.float32))
        self.amplitude = nnx.Param(jnp.full((1,), 2.0, jnp.float32))

    def __call__(
        self, images: Float[Array, "batch height width 3"], *, key: PRNGKeyArray | None = None, targets: PyTree = None
    ) -> Float[Array, "batch classes"]:
        """Computes logits; a key turns dropout on."""
        flat = images.reshape(images.shape[0], -1) * self.amplitude[...][None, :]
        if key is not None:
            flat = jnp.where(jax.random.bernoulli(key, 0.9, flat.shape), flat, jnp.zeros_like(flat))
        return flat @ self.kernel[...] + self.bias[...][None, :]


def build(key: PRNGKeyArray) -> Toy:
    """Makes the toy."""
    return Toy(key=key)


def batch_of(step: int, batch_size: int, *, seed: int = 0) -> Batch:
    """Draws a batch, whose class is told by its brightness, as a pure function of the step."""
    random = np.random.default_rng([seed, step])
    label = random.integers(CLASSES, size=batch_size).astype(np.int32)
    noise = random.integers(64, size=(batch_size, HEIGHT, WIDTH, 3))
    return Batch(
        image=(noise + 64 * label[:, None, None, None]).astype(np.uint8),
        is_real=np.ones(batch_size, bool),
        targets=ClassTargets(label=label),
    )


def eval_batches(num_examples: int, batch_size: int) -> Iterator[Batch]:
    """Cuts so many examples into batches; the last one is short."""
    whole = batch_of(10**6, num_examples)
    for start in range(0, num_examples, batch_size):
        yield jax.tree.map(lambda leaf, start=start: leaf[start : start + batch_size], whole)


def feed(batch_size: int, eval_batch_size: int, *, num_steps: int = 10**6) -> Feed:
    """Makes the feed of a run."""

    def train(start: int) -> Iterator[Batch]:
        yield from (batch_of(step, batch_size) for step in range(start, num_steps))

    return Feed(
        train=train,
        evaluation=lambda name: eval_batches(NUM_EVAL, eval_batch_size),
        digest=lambda step: f"digest-{step}",
    )


TRAINING = Training(batch_size=8, num_steps=12, eval_batch_size=16, log_every=5, checkpoint_every=3, keep_checkpoints=2)


@dataclasses.dataclass(frozen=True)
class ToyConfig:
    """The toy as a value."""

    def make(self, key: PRNGKeyArray) -> nnx.Module:
        return Toy(key=key)


TASK = Classification()
EVALUATORS = (Evaluator(every=4),)
NORMALIZATION = Normalization(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
OPTIMIZER = Optimizer(rule=AdamW(), learning_rate=0.01, weight_decay=0.05, schedule=Schedule(curve=Constant()))
ONE_DEVICE = MeshConfig(data=1)
LIMITS = Limits()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ToyRecipe:
    """What an experiment is to a real run."""

    training: Training = TRAINING
    network: ToyConfig = ToyConfig()
    task: Classification = TASK
    normalization: Normalization = NORMALIZATION
    evaluators: tuple[Evaluator, ...] = EVALUATORS
    optimizer: Optimizer = OPTIMIZER
    mesh: MeshConfig = ONE_DEVICE
    limits: Limits = LIMITS
    seed: int = 3

    def to_json(self) -> dict[str, JsonValue]:
        evaluators = [{"name": evaluator.name, "every": evaluator.every} for evaluator in self.evaluators]
        return {"training": dataclasses.asdict(self.training), "evaluators": evaluators, "seed": 3}

    def with_defaults(self, recorded: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
        return recorded


@functools.lru_cache(maxsize=16)
def shared_program(recipe: ToyRecipe) -> Program:
    """Builds a program once for all tests whose recipes are equal."""
    return make_program(recipe)


def program_of(recipe: ToyRecipe) -> Program:
    """Returns a program that recipes with another rhythm share, as the rhythm is not compiled."""
    rhythm = {"log_every": 1, "checkpoint_every": 1, "observe_every": None}
    training = dataclasses.replace(recipe.training, keep_checkpoints=1, keep_every=None, best=None, **rhythm)
    measures = dict.fromkeys(evaluator.measure for evaluator in recipe.evaluators)
    evaluators = tuple(Evaluator(measure=measure) for measure in measures)
    return shared_program(dataclasses.replace(recipe, training=training, evaluators=evaluators, limits=LIMITS))


def run_in(workdir: Path, training: Training = TRAINING, **changes: object) -> Run:
    """Makes a run of the toy, on one device unless the changes of its recipe say otherwise."""
    recipe = ToyRecipe(training=training, **changes)
    return Run(
        workdir=workdir,
        recipe=recipe,
        program=program_of(recipe),
        feed=feed(training.batch_size, training.eval_batch_size),
    )


def with_recipe(run: Run, **changes: object) -> Run:
    """Changes the recipe of a run, and its program with it."""
    recipe = dataclasses.replace(run.recipe, **changes)
    return dataclasses.replace(run, recipe=recipe, program=program_of(recipe))
