"""Evaluations as config values: what is measured on which split, and how often."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from jaxtyping import PyTree

from gauss_vit.annotations import Annotated
from gauss_vit.batches import Batch
from gauss_vit.errors import ConfigError
from gauss_vit.metrics.metric import Metric, Sums
from gauss_vit.tasks.assessment import Assessment
from gauss_vit.tasks.coco_measure import CocoMeasure
from gauss_vit.tasks.task import Measure, Task

RESERVED = ("train", "observe", "speed")
"""Names under which a run logs other numbers."""


@dataclass(frozen=True, kw_only=True)
class TaskMetric:
    """The metric that the task also reports in training, summed on the device."""

    def results(self, task: Task, outputs: PyTree, batch: Batch) -> Metric:
        """Computes the sums of a batch."""
        return task.measure(outputs, batch)

    def collector(self, source: Annotated | None) -> Sums:
        """Returns an empty collector of sums; batches hold what they need."""
        del source
        return Sums()


_TASK_METRIC = TaskMetric()


@runtime_checkable
class DescribedMeasure(Measure, Protocol):
    """A measure with words for a progress line."""

    def describe(self, values: Mapping[str, float]) -> str:
        """Formats its values, such as `box AP 48.2 % mask AP 43.2 %`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Evaluator:
    """One evaluation of a run; the last step always evaluates.

    Attributes:
      name: Name of its lines in metrics.jsonl.
      every: Steps between evaluations; None evaluates at the end only.
      split: Split to measure on, such as "validation" or "test"; None is `data.eval_split`.
      data: Name of another data set with the run's classes, such as "imagenet_v2"; None is `data.name`.
      data_dir: Folder of that data set; None is `data.data_dir`.
      measure: The task's own metric, or another value with `results` and `collector`.
    """

    name: str = "eval"
    every: int | None = None
    split: str | None = None
    data: str | None = None
    data_dir: str | None = None
    measure: TaskMetric | Assessment | CocoMeasure | Measure = _TASK_METRIC

    def __post_init__(self):
        if not re.fullmatch(r"[A-Za-z0-9_-]+", self.name) or self.name in RESERVED:
            raise ConfigError(
                f"name must be letters, digits, _ or -, and none of {', '.join(RESERVED)}, got {self.name!r}"
            )
        if self.every is not None and self.every < 1:
            raise ConfigError(f"every must be an integer >= 1 or None, got {self.every}")


@dataclass(frozen=True, kw_only=True)
class Best:
    """The rule for the best checkpoint, which is kept on disk; of equal ones, the earlier.

    Only checkpoints at a step of the evaluation compete, and only with a finite value.

    Attributes:
      metric: EVALUATOR/METRIC, such as "eval/top1", or "eval/ema_top1" of the moving average.
      mode: "max" where higher is better, "min" where lower is.
    """

    metric: str
    mode: Literal["max", "min"]

    def __post_init__(self):
        if not re.fullmatch(r"[^/]+/.+", self.metric):
            raise ConfigError(f"metric must be EVALUATOR/METRIC, such as eval/top1, got {self.metric!r}")

    @property
    def evaluator(self) -> str:
        """Name of the evaluator that measures it."""
        return self.metric.partition("/")[0]

    @property
    def name(self) -> str:
        """Name of the metric among those of its evaluator."""
        return self.metric.partition("/")[2]


def describe(evaluator: Evaluator, task: Task, values: Mapping[str, float]) -> str:
    """Formats what an evaluator measured for a progress line.

    The task's own metric is described as in training, a measure that describes itself as it does, others by name.
    """
    if isinstance(evaluator.measure, TaskMetric):
        return task.describe(values)
    if isinstance(evaluator.measure, DescribedMeasure):
        return evaluator.measure.describe(values)
    return " ".join(
        f"{name} {value}" if isinstance(value, int) else f"{name} {value:.4g}" for name, value in values.items()
    )


def check_evaluators(evaluators: tuple[Evaluator, ...], best: Best | None) -> None:
    """Checks that names are unique and that the metric of the best checkpoint is measured.

    Raises:
      ConfigError: a name occurs twice, or the evaluator of `best` does not exist.
    """
    names = [evaluator.name for evaluator in evaluators]
    if len(set(names)) < len(names):
        raise ConfigError(f"evaluators must have different names, got {', '.join(names)}")
    if best is not None and best.evaluator not in names:
        raise ConfigError(
            f"training.best.metric {best.metric} is measured by no evaluator",
            do=f"begin it with one of {', '.join(names) or 'the names in evaluators, of which there are none'}",
        )
