"""The root value of a run: all that a config file says, typed, frozen, and the same as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gauss_vit.config import loading, overrides, schema
from gauss_vit.data.config import Data
from gauss_vit.errors import ConfigError
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.models.swin import SwinConfig
from gauss_vit.models.vit import ViTConfig
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.tasks.classification import Classification
from gauss_vit.tasks.evaluator import Evaluator, check_evaluators
from gauss_vit.tasks.task import Task
from gauss_vit.train.config import Training
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.optim.optimizer import Optimizer
from gauss_vit.weights.start import Start

_EVALUATOR = Evaluator()

Model = ViTConfig | SwinConfig | BackboneConfig
"""The backbones of this package, which stored configs may name, and any other that is defined where a config is."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Everything that decides a run's numbers. A config file's `get_config` returns one.

    Attributes:
      model: Backbone.
      task: Task with its head: what is minimised and measured.
      data: What is read, and how images become arrays.
      optimizer: How parameters move.
      training: How long the run is, and how often it reports and saves.
      mesh: How many devices there are, and what is split over them.
      seed: Source of all randomness of the run: initial values, order of examples, augmentation, dropout.
      start: Weights to start from; None draws every parameter.
      evaluators: What is measured on which split, and how often.

    Raises:
      ConfigError: the seed is out of range, or the evaluators do not fit together.
    """

    model: Model
    task: Classification | Task
    data: Data
    optimizer: Optimizer
    training: Training
    mesh: MeshConfig
    seed: int
    start: Start | None = None
    evaluators: tuple[Evaluator, ...] = (_EVALUATOR,)

    def __post_init__(self):
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"seed must be in 0 .. 2^32 - 1, got {self.seed}")
        check_evaluators(self.evaluators, self.training.best)

    @property
    def normalization(self) -> Normalization:
        """What turns image bytes into the model's input."""
        return self.data.normalization

    @property
    def network(self) -> NetworkConfig:
        """The backbone with the task's head: what is trained and stored."""
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
    """Builds the experiment of a config file.

    Args:
      source: what `--config` says: `FILE.py`, `FILE.py:ARGUMENT` or `FILE.json`.

    Raises:
      ConfigError: with everything that is wrong in the file.
    """
    return loading.load(source, Experiment)


def override(experiment: Experiment, changes: Mapping[str, schema.JsonValue]) -> Experiment:
    """Changes values by their dotted keys, such as `{"model.depth": 2}` or `{"model.depth": "2"}`; checks all again.

    Raises:
      ConfigError: with every change that does not fit.
    """
    return from_json(overrides.override(experiment, changes), known=schema.classes_in(experiment))


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
