"""MLflow. `MLFLOW_TRACKING_URI` says where runs are kept; without it MLflow chooses a place in the current folder."""

import math
from collections.abc import Mapping
from pathlib import Path

import mlflow  # pyrefly: ignore[missing-import]

from gauss_vit.train.tracking.identities import identity, remember
from gauss_vit.train.tracking.tracker import TrackedRun, flat


class ServiceTracker:
    """A run at an MLflow server or in a local store.

    Args:
      run: the run.
      project: name of the experiment, as MLflow calls it.
    """

    def __init__(self, run: TrackedRun, *, project: str):
        self._client = mlflow.MlflowClient()
        known = identity(run.workdir, "mlflow")
        self._id = self._new(run, project) if known is None else known
        if known is not None:
            self._client.update_run(known, status="RUNNING")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Takes numbers."""
        for name, value in values.items():
            self._client.log_metric(self._id, name, float(value) if math.isfinite(value) else math.nan, step=step)

    def show(self, step: int, name: str, picture: Path) -> None:
        """Takes a picture, among the artifacts of the run."""
        self._client.log_artifact(self._id, str(picture), artifact_path=name)

    def close(self) -> None:
        """Ends the run; a resumed one opens it again."""
        self._client.set_terminated(self._id)

    def _new(self, run: TrackedRun, project: str) -> str:
        """Makes a run with the config as its parameters; returns its identity."""
        found = self._client.get_experiment_by_name(project)
        experiment = self._client.create_experiment(project) if found is None else found.experiment_id
        made = self._client.create_run(experiment, run_name=run.name).info.run_id
        for key, value in flat(run.config).items():
            self._client.log_param(made, key, value)
        remember(run.workdir, "mlflow", made)
        return made
