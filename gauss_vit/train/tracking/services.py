"""The services that `--track` names, by the libraries that are installed for them."""

import functools
import importlib
from collections.abc import Callable
from types import MappingProxyType

from gauss_vit.errors import ConfigError
from gauss_vit.train.tracking.tracker import OpenTracker, TrackedRun, Tracker, reason

_MODULES = MappingProxyType(
    {
        "wandb": "gauss_vit.train.tracking.wandb_tracker",
        "mlflow": "gauss_vit.train.tracking.mlflow_tracker",
        "trackio": "gauss_vit.train.tracking.trackio_tracker",
    }
)
"""Modules that need the library of a service, and are imported only where it is asked for."""

DEFAULT_PROJECT = "gauss_vit"


def trackers(text: str) -> dict[str, OpenTracker]:
    """Reads a choice of services with their projects, such as `wandb` or `mlflow:digits,trackio`.

    Returns:
      Functions that open a tracker, by the name of the service. Each service is configured as its own library says, by
      environment variables and files of its own; nothing secret passes through here.

    Raises:
      ConfigError: there is no such service, or its library is not installed.
    """
    chosen = {}
    for part in text.split(","):
        name, _, project = part.strip().partition(":")
        chosen[name] = functools.partial(_opened, _opener(name), name, project or DEFAULT_PROJECT)
    return chosen


def _opener(name: str) -> Callable[..., Tracker]:
    """Imports the class of a service's tracker.

    Raises:
      ConfigError: there is no such service, or its library is not installed.
    """
    if name not in _MODULES:
        raise ConfigError(f"--track: unknown service {name!r}", do=f"choose among {', '.join(_MODULES)}")
    try:
        return vars(importlib.import_module(_MODULES[name]))["ServiceTracker"]
    except ModuleNotFoundError as error:
        remedy = f"pip install 'gauss_vit[{name}]', or leave out --track"
        raise ConfigError(f"--track={name} needs {error.name}", do=remedy, code="DEP") from error


def _opened(service: Callable[..., Tracker], name: str, project: str, run: TrackedRun) -> Tracker:
    """Opens a tracker.

    Raises:
      ConfigError: the service refuses, for example without a login.
    """
    try:
        return service(run, project=project)
    except Exception as error:  # Each service has errors of its own.
        raise ConfigError(
            f"{name} cannot be opened: {reason(error)}", do=f"correct its configuration, or leave {name} out of --track"
        ) from error
