"""The parts of a run, as one value."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal

from jaxtyping import PyTree

from gauss_vit.annotations import Annotated
from gauss_vit.batches import Batch
from gauss_vit.train.program import Program, Recipe
from gauss_vit.train.trace import TraceSteps
from gauss_vit.train.tracking.tracker import OpenTracker
from gauss_vit.train.utilization import Utilization
from gauss_vit.trained_on import UNKNOWN, TrainedOn

Resume = Literal["same", "override"]
"""What may change where a run continues."""

Observer = Callable[[int, PyTree], Mapping[str, float]]
"""Function of a step and its parameters that returns the numbers to log, if any."""


def _has_no_annotations(evaluator: str) -> None:
    del evaluator


@dataclasses.dataclass(frozen=True, kw_only=True)
class Feed:
    """The source of batches, whose arrays are NumPy arrays on the host.

    Attributes:
      train: Function that yields the training batches from a step on, in order, at least to the end of the run.
      evaluation: Function that yields every example of an evaluator's split once, by the evaluator's name.
      digest: Function that returns a short text that identifies the examples in the batch of a step.
      num_examples: Number of training examples, which are an epoch; None if there are no epochs.
      annotated: Function that returns the source of an evaluator's split, by the evaluator's name, where it has
        annotations that batches do not hold; otherwise None.
    """

    train: Callable[[int], Iterable[Batch]]
    evaluation: Callable[[str], Iterable[Batch]]
    digest: Callable[[int], str]
    num_examples: int | None = None
    annotated: Callable[[str], Annotated | None] = _has_no_annotations


def _draws_parameters() -> None:
    return None


def _shows_nothing(step: int) -> Mapping[str, Path]:
    del step
    return {}


def _checks_nothing(params: PyTree, batch: Batch) -> None:
    del params, batch


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A recipe with its program, data, workdir and hooks.

    Attributes:
      workdir: Folder for everything that the run writes.
      recipe: Everything that determines the numbers, besides the data.
      program: Compiled functions of this recipe.
      feed: Source of the batches.
      trained_on: Classes, pixel statistics, grids and data of the run, stored with every checkpoint.
      resume: Whether a run in the workdir continues with the recipe and the data that it had only ("same"), or also
        with others ("override"), which is logged and recorded.
      observers: Functions that are called with the step and the parameters every `observe_every` steps from 0, at the
        end, and of the best checkpoint; the numbers that they return are logged as one line.
      pictures: Function from a step to the PNG files that the observers wrote at it, by name, for the trackers.
      trackers: Services that numbers and pictures go to besides TensorBoard, by name.
      utilization: What the speed is compared with; None reports no utilisation.
      trace: Steps whose profile is written to the workdir by this process; None writes none.
      initial: Function that loads the parameters of step 0, a nested dict, where there is no checkpoint; None draws
        them from the seed.
      check_start: Function that is called once, before anything is written, with the parameters of step 0 and the first
        batch; raises a ConfigError if the run should not start.
    """

    workdir: Path
    recipe: Recipe
    program: Program
    feed: Feed
    trained_on: TrainedOn = UNKNOWN
    resume: Resume = "same"
    observers: tuple[Observer, ...] = ()
    pictures: Callable[[int], Mapping[str, Path]] = _shows_nothing
    trackers: Mapping[str, OpenTracker] = dataclasses.field(default_factory=dict)
    utilization: Utilization | None = None
    trace: TraceSteps | None = None
    initial: Callable[[], PyTree] = _draws_parameters
    check_start: Callable[[PyTree, Batch], object] = _checks_nothing
