"""Weights & Biases. `WANDB_MODE=offline` keeps everything in the workdir, for `wandb sync` later."""

from collections.abc import Mapping
from pathlib import Path

import wandb  # pyrefly: ignore[missing-import]

from gauss_vit.train.tracking.identities import identity, remember
from gauss_vit.train.tracking.tracker import TrackedRun, flat


class ServiceTracker:
    """A run at Weights & Biases.

    Args:
      run: the run.
      project: name of the project.
    """

    def __init__(self, run: TrackedRun, *, project: str):
        self._run = wandb.init(
            project=project,
            name=run.name,
            id=identity(run.workdir, "wandb"),
            resume="allow",
            dir=run.workdir,
            config=flat(run.config),
            settings=wandb.Settings(disable_code=True, disable_git=True, x_disable_machine_info=True),
        )
        remember(run.workdir, "wandb", self._run.id)
        # W&B's own counter never goes back, and a resumed run repeats steps.
        self._run.define_metric("step", hidden=True)
        self._run.define_metric("*", step_metric="step")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Takes numbers."""
        self._run.log({"step": step, **values})

    def show(self, step: int, name: str, picture: Path) -> None:
        """Takes a picture."""
        self._run.log({"step": step, name: wandb.Image(str(picture))})

    def close(self) -> None:
        """Sends what is left."""
        self._run.finish()
