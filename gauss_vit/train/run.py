"""What a run is made of, as one value."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from jaxtyping import PyTree

from gauss_vit.batches import Batch
from gauss_vit.config.schema import JsonValue
from gauss_vit.train.config import Training
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.normalization import Normalization
from gauss_vit.train.optim.optimizer import Optimizer
from gauss_vit.train.state import Build
from gauss_vit.train.step import Task

Observer = Callable[[int, PyTree], Mapping[str, float]]
"""Looks at the parameters of a step, and gives the numbers to log about them: none where there is nothing to say."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Feed:
    """Where batches come from; their arrays are of numpy, on the host.

    Attributes:
      train: the training batches from a step on, in order, at least as far as the run goes.
      evaluation: every example of the evaluation split once.
      digest: a short text that proves which examples the batch of a step holds.
    """

    train: Callable[[int], Iterable[Batch]]
    evaluation: Callable[[], Iterable[Batch]]
    digest: Callable[[int], str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """All that a run is made of.

    Attributes:
      workdir: the folder for everything that it writes.
      experiment: the resolved config as JSON, stored with every checkpoint and compared on resume.
      build: makes the model from a key.
      task: what is minimised and measured.
      normalization: what turns image bytes into the model's input.
      optimizer: how parameters move.
      training: how long, and how often what.
      mesh: how many devices each axis has.
      seed: of parameters and dropout.
      feed: the batches.
      observers: called with the step and the parameters, every `observe_every` steps and at the end; what they give is
        logged as one line.
      with_defaults: adds to a config that an earlier version has stored the fields that came since, at their defaults.
      initial: the parameters of step 0, a nested dict; None draws them from the seed.
    """

    workdir: Path
    experiment: Mapping[str, JsonValue]
    build: Build
    task: Task
    normalization: Normalization
    optimizer: Optimizer
    training: Training
    mesh: MeshConfig
    seed: int
    feed: Feed
    observers: tuple[Observer, ...] = ()
    with_defaults: Callable[[Mapping[str, JsonValue]], Mapping[str, JsonValue]] = dict
    initial: PyTree = None

    def is_due(self, every: int | None, step: int) -> bool:
        """Says whether something is to be done at a step; at the last one everything is."""
        return step == self.training.num_steps or (every is not None and step % every == 0)
