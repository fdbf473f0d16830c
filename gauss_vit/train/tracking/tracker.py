"""The protocol of a tracker, and what keeps a tracker that fails from ending a run."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from gauss_vit.config.schema import JsonValue

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """What a tracker is told about a run when it is opened.

    Attributes:
      workdir: Folder of the run, whose name is the name of the run.
      step: Step at which training continues; 0 for a new run. Numbers of later steps will come again.
      config: Experiment of the run.
    """

    workdir: Path
    step: int
    config: Mapping[str, JsonValue]

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.workdir.absolute().name


@runtime_checkable
class Tracker(Protocol):
    """An open connection, or file, that a run's numbers and pictures go to."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Takes numbers under names such as `train/loss`."""
        ...

    def show(self, step: int, name: str, picture: Path) -> None:
        """Takes a picture, a PNG file, under a name such as `erf`."""
        ...

    def close(self) -> None:
        """Sends what is left."""
        ...


OpenTracker = Callable[[TrackedRun], Tracker]
"""A tracker that is yet to be opened."""


class TolerantTracker:
    """A tracker whose first failure is a warning and its last call: a run goes on without it.

    Args:
      name: name of the tracker in the warning.
      open_tracker: function that opens it.
      run: the run.

    Raises:
      ConfigError: the tracker refuses to open.
    """

    def __init__(self, name: str, open_tracker: OpenTracker, run: TrackedRun):
        self._name = name
        self._tracker: Tracker | None = None
        try:
            self._tracker = open_tracker(run)
        except OSError as error:
            self._warn(error)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Passes numbers on."""
        self._attempt(lambda tracker: tracker.log(step, values))

    def show(self, step: int, name: str, picture: Path) -> None:
        """Passes a picture on."""
        self._attempt(lambda tracker: tracker.show(step, name, picture))

    def close(self) -> None:
        """Closes the tracker."""
        self._attempt(lambda tracker: tracker.close())
        self._tracker = None

    def _attempt(self, call: Callable[[Tracker], None]) -> None:
        if self._tracker is None:
            return
        try:
            call(self._tracker)
        except Exception as error:  # Each service has errors of its own, and none may cost a run its training.
            self._tracker = None
            self._warn(error)

    def _warn(self, error: Exception) -> None:
        _LOGGER.warning("%s disabled: %s; training goes on", self._name, reason(error))


def reason(error: Exception) -> str:
    """Returns the first line of an error, or its name."""
    text = (error.strerror if isinstance(error, OSError) else "") or str(error)
    return text.splitlines()[0] if text else type(error).__name__


def flat(config: JsonValue | Mapping[str, JsonValue], prefix: str = "") -> dict[str, str | bool | int | float]:
    """Lists the values of a config under dotted keys, those that are no numbers as text.

    >>> flat({"model": {"depth": 2, "terms": [{"sigma": 5.0}], "absolute": None}})
    {'model.depth': 2, 'model.terms.0.sigma': 5.0, 'model.absolute': 'None'}
    """
    if isinstance(config, Mapping):
        parts = [(str(key), value) for key, value in config.items()]
    elif isinstance(config, list) and any(isinstance(value, dict | list) for value in config):
        parts = [(str(index), value) for index, value in enumerate(config)]
    else:
        return {prefix: config if isinstance(config, str | bool | int | float) else str(config)}
    return {
        name: value for key, part in parts for name, value in flat(part, f"{prefix}.{key}" if prefix else key).items()
    }
