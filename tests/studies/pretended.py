"""Runs that leave the files of real ones without computing anything."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from gauss_vit.studies.children import Children
from gauss_vit.studies.plan import Plan, PlannedRun, make_plan

SOURCE = "tests/studies/tiny_study.py"
NUM_STEPS = 8


def plan_in(workdir: Path, **overrides: str | bool) -> Plan:
    """The plan of the tiny study."""
    return make_plan(SOURCE, overrides=overrides, workdir=workdir)


def pretend_training(run: PlannedRun, *, step: int = NUM_STEPS) -> None:
    """Leaves what a training leaves that has come to a step."""
    (run.folder / "checkpoints" / str(step)).mkdir(parents=True, exist_ok=True)
    (run.folder / "config.json").write_text(json.dumps(run.experiment.to_json()))
    line = {"step": step, "elapsed_seconds": 9.0 * step, "images_per_second": 64.0}
    (run.folder / "timing.jsonl").write_text(json.dumps(line) + "\n{torn")
    (run.folder / "metrics.jsonl").write_text(json.dumps({"step": step, "split": "eval", "top1": 0.5}) + "\n")
    (run.folder / "env.json").write_text(json.dumps({"revision": "r", "num_devices": 1, "device_kind": "cpu"}))


def top1_of(run: PlannedRun) -> float:
    """The accuracy that a run pretends to have, which no other run has."""
    return 0.25 + 0.05 * run.index


def pretend_measuring(run: PlannedRun, **values: float | str) -> None:
    """Leaves what an evaluation leaves."""
    result = {
        "step": NUM_STEPS,
        "data": "digits",
        "split": "test[:50]",
        "loss": 2.0,
        "top1": top1_of(run),
        "num_examples": 20,
    }
    (run.folder / "evaluation.json").write_text(json.dumps({**result, **values}))
    label = np.arange(20, dtype=np.int32)
    num_right = round(20 * top1_of(run))
    np.savez(run.folder / "predictions.npz", label=label, predicted=np.where(label < num_right, label, -1))


RECORD = SimpleNamespace(progress=SimpleNamespace(batch_digest="abcd"))
"""The part of a checkpoint's record that a study reads."""


class PretendedChildren(Children):
    """Children that answer at once: with a status, or by leaving the files of a run.

    Attributes:
      commands: verb and run of every process, in order.
    """

    def __init__(
        self,
        plan: Plan,
        statuses: dict[tuple[str, str], list[int]] | None = None,
        *,
        measured_step: Callable[[PlannedRun], int] = lambda run: NUM_STEPS,
    ) -> None:
        super().__init__()
        self.commands: list[tuple[str, str]] = []
        self._plan = plan
        self._statuses = statuses or {}
        self._measured_step = measured_step

    def run(self, command: tuple[str, ...], *, log: Path, tick: Callable[[], None]) -> int:
        """Answers a command."""
        tick()
        (run,) = (run for run in self._plan.runs if f"--workdir={run.folder}" in command)
        verb = command[3]
        self.commands.append((verb, run.name))
        left = self._statuses.get((verb, run.name))
        status = left.pop(0) if left else 0
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(f"gauss_vit: error[X]: status {status}. DO: y\n")
        if status == 0:
            pretend_training(run) if verb == "train" else pretend_measuring(run, step=self._measured_step(run))
        return status
