"""The config of a run as one frozen, typed value that converts to JSON and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gauss_vit.config import loading, overrides, schema
from gauss_vit.data.config import Data
from gauss_vit.errors import ConfigError
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.models.swin import SwinConfig
from gauss_vit.models.vit import ViTConfig
from gauss_vit.models.xcit import XCiTConfig
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.tasks.classification import Classification
from gauss_vit.tasks.detection import Detection
from gauss_vit.tasks.evaluator import Evaluator, TaskMetric, check_evaluators
from gauss_vit.tasks.segmentation import Segmentation
from gauss_vit.tasks.task import Task
from gauss_vit.train.config import Training
from gauss_vit.train.limits import Limits
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.optim.optimizer import Optimizer
from gauss_vit.weights.start import Start

_EVALUATOR = Evaluator()
_LIMITS = Limits()
_ALTERNATIVES: tuple[Mapping[str, schema.JsonValue], ...] = (
    {"training.num_steps": None, "training.num_epochs": None},
    {"optimizer.schedule.warmup.steps": 0, "optimizer.schedule.warmup.share": None},
)
"""Keys of which one at most may be given, each with the value that stands for nothing."""

Model = ViTConfig | SwinConfig | XCiTConfig | BackboneConfig
"""The backbones of this package, which stored configs may name, and any other that is defined where a config is."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Everything that decides a run's numbers. A config file's `get_config` returns one.

    Attributes:
      model: Backbone.
      task: Task with its head: the loss and the metrics.
      data: Data set, and how its images become arrays.
      optimizer: Optimizer with its learning-rate schedule.
      training: Length of the run, and how often it reports and saves.
      mesh: Number of devices on each axis of the mesh.
      seed: Seed of the initial values, the order of examples, augmentation and dropout.
      start: Weights to start from; None initialises every parameter at random.
      evaluators: Evaluations: what is measured on which split, and how often.
      platform: Platform that the devices must have; "any" takes what JAX finds, "cpu" leaves accelerators alone.
      limits: Longest waits of a run.

    Raises:
      ConfigError: the seed is out of range, the evaluators do not fit together or to the task, or the data have other
        targets than the task learns from.
    """

    model: Model
    task: Classification | Segmentation | Detection | Task
    data: Data
    optimizer: Optimizer
    training: Training
    mesh: MeshConfig
    seed: int
    start: Start | None = None
    evaluators: tuple[Evaluator, ...] = (_EVALUATOR,)
    platform: Literal["any", "cpu", "gpu", "tpu"] = "any"
    limits: Limits = _LIMITS

    def __post_init__(self):
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"seed must be in 0 .. 2^32 - 1, got {self.seed}")
        check_evaluators(self.evaluators, self.training.best)
        if isinstance(self.task, Detection) and any(isinstance(each.measure, TaskMetric) for each in self.evaluators):
            raise ConfigError(
                "what a detector finds is not measured by the metric of its training",
                do="set the measure of every evaluator to CocoMeasure()",
            )
        needed, given = self.task.targets, self.data.targets
        if needed not in (None, given):
            kind = type(self.task).__name__
            raise ConfigError(f"{kind} learns from {needed}, but data.targets is {given}", do=f"set it to {needed}")

    @property
    def normalization(self) -> Normalization:
        """Mean and deviation that normalise image bytes for the model."""
        return self.data.normalization

    @property
    def network(self) -> NetworkConfig:
        """Backbone with the task's head, as it is trained and stored."""
        return NetworkConfig(backbone=self.model, head=self.task.head)

    def to_json(self) -> schema.JsonObject:
        """Writes the experiment as JSON objects; `from_json` builds an equal one."""
        return schema.encode_fields(self)

    def with_defaults(self, recorded: Mapping[str, schema.JsonValue]) -> Mapping[str, schema.JsonValue]:
        """Adds to a stored experiment the fields that did not exist when it was stored, at their defaults.

        One that this version cannot read is returned as it is.
        """
        try:
            return from_json(dict(recorded), known=schema.classes_in(self)).to_json()
        except ConfigError:
            return recorded


def load(source: str) -> Experiment:
    """Loads the experiment of a config file.

    Args:
      source: value of `--config`: `FILE.py`, `FILE.py:ARGUMENT` or `FILE.json`.

    Raises:
      ConfigError: with everything that is wrong in the file.
    """
    return loading.load(source, Experiment)


def override(experiment: Experiment, changes: Mapping[str, schema.JsonValue]) -> Experiment:
    """Replaces values by dotted keys, such as `{"model.depth": 2}` or `{"model.depth": "2"}`, and checks again.

    Of keys that exclude each other, such as the length of a run in steps and in epochs, one that is changed takes the
    place of the other.

    Raises:
      ConfigError: with every change that does not fit.
    """
    replaced = {
        other: nothing
        for alternatives in _ALTERNATIVES
        for other, nothing in alternatives.items()
        if other not in changes and any(_is_given(changes.get(key), alternatives[key]) for key in alternatives)
    }
    return from_json(overrides.override(experiment, {**changes, **replaced}), known=schema.classes_in(experiment))


def _is_given(change: schema.JsonValue, nothing: schema.JsonValue) -> bool:
    """Returns whether a change gives a key a value, in place of none or of what stands for nothing."""
    return change not in (None, "None", "none", nothing, str(nothing))


def from_json(data: schema.JsonValue, *, known: Sequence[type] = ()) -> Experiment:
    """Builds the experiment of decoded JSON. Types come from the annotations alone: nothing is imported by name.

    Args:
      data: The experiment as JSON objects.
      known: Classes that a user defined, such as position terms, which the data may name as well.

    Raises:
      ConfigError: with every key that is unknown or missing and every value that does not fit.
    """
    return loading.build(data, Experiment, known=known)


def read(path: Path, *, known: Sequence[type] = ()) -> Experiment:
    """Reads the experiment that a run stored as JSON.

    Args:
      path: The file.
      known: Classes that a user defined, such as position terms, which the file may name as well.

    Raises:
      ConfigError: the file is not JSON, or does not describe an experiment.
    """
    return loading.read_json(path, Experiment, known=known)
