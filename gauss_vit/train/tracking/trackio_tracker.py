"""Trackio, which keeps runs in a local database; `trackio show` opens its dashboard."""

from collections.abc import Mapping
from pathlib import Path

import trackio  # pyrefly: ignore[missing-import]

from gauss_vit.train.tracking.tracker import TrackedRun, flat


class ServiceTracker:
    """A run of trackio, which is continued by its name.

    Args:
      run: the run.
      project: name of the project.
    """

    def __init__(self, run: TrackedRun, *, project: str):
        self._run = trackio.init(project=project, name=run.name, config=flat(run.config), resume="allow")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Takes numbers."""
        self._run.log(dict(values), step=step)

    def show(self, step: int, name: str, picture: Path) -> None:
        """Takes a picture."""
        self._run.log({name: trackio.Image(str(picture))}, step=step)

    def close(self) -> None:
        """Writes what is left."""
        self._run.finish()
