"""W&B, MLflow and trackio in their own local modes: what is written is read back, and a resumed run is continued.

Nothing is sent anywhere. It needs the extras `wandb`, `mlflow` and `trackio`:

    python -m tests.train.tracking.local_services
"""

import os
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from gauss_vit.train.tracking import services
from gauss_vit.train.tracking.identities import identity
from gauss_vit.train.tracking.tracker import TrackedRun

CONFIG = {"model": {"depth": 2, "norm": "final"}, "seed": 7}


def run_and_resume(service: str, workdir: Path) -> None:
    """Tracks two steps with a picture, then the second one again and a third, as a resumed run does."""
    picture = workdir / "field.png"
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(picture)
    for first in (0, 1):
        (open_tracker,) = services.trackers(f"{service}:digits").values()
        tracker = open_tracker(TrackedRun(workdir=workdir, step=first, config=CONFIG))
        for step in (first + 1, first + 2):
            tracker.log(step, {"train/loss": 1.0 / step, "train/top1": float("nan")})
        tracker.show(first + 2, "erf", picture)
        tracker.close()


def check_wandb(workdir: Path) -> None:
    """Looks for numbers, config and pictures in the files of offline runs, which share one identity."""
    name = identity(workdir, "wandb")
    logs = sorted(workdir.glob(f"wandb/offline-run-*/run-{name}.wandb"))
    assert len(logs) == 2
    for log in logs:
        content = log.read_bytes()
        assert all(key in content for key in (b"train/loss", b"model.depth", b"digits"))
    assert len(list(workdir.glob("wandb/offline-run-*/files/media/images/erf_*.png"))) == 2


def check_mlflow(workdir: Path) -> None:
    """Reads the run back by its identity."""
    import mlflow  # noqa: PLC0415

    client, name = mlflow.MlflowClient(), identity(workdir, "mlflow")
    run = client.get_run(name)
    history = client.get_metric_history(name, "train/loss")
    assert sorted({(metric.step, metric.value) for metric in history}) == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert (run.data.params["model.depth"], run.data.params["model.norm"]) == ("2", "final")
    assert (run.info.run_name, run.info.status) == (workdir.name, "FINISHED")
    assert [found.path for found in client.list_artifacts(name, "erf")] == ["erf/field.png"]


def check_trackio(workdir: Path) -> None:
    """Reads the database, which holds one run."""
    (database,) = Path(os.environ["TRACKIO_DIR"]).glob("*.db")
    with sqlite3.connect(database) as connection:
        rows = connection.execute("select run_name, step, metrics from metrics order by id").fetchall()
    assert {row[0] for row in rows} == {workdir.name}
    assert [(step, '"train/loss"' in str(metrics)) for _, step, metrics in rows if "loss" in str(metrics)] == [
        (1, True),
        (2, True),
        (2, True),
        (3, True),
    ]
    assert sum("erf" in str(metrics) for _, _, metrics in rows) == 2


CHECKS: dict[str, Callable[[Path], None]] = {"wandb": check_wandb, "mlflow": check_mlflow, "trackio": check_trackio}


def main() -> int:
    """Checks every service in a temporary folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        os.environ |= {
            "WANDB_MODE": "offline",
            "WANDB_SILENT": "true",
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
            "TRACKIO_DIR": str(folder / "trackio"),
        }
        for service, check in CHECKS.items():
            workdir = folder / f"run_{service}"
            workdir.mkdir()
            run_and_resume(service, workdir)
            check(workdir)
            sys.stdout.write(f"{service}: numbers, config and pictures read back\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
