"""How far a run has come, read off its own files."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gauss_vit import experiment as experiments
from gauss_vit.config import schema
from gauss_vit.config.schema import JsonValue
from gauss_vit.errors import ConfigError, DataError
from gauss_vit.files import make_folder, read_json, read_lines
from gauss_vit.inspect.evaluation_results import RESULT
from gauss_vit.studies.plan import Plan, PlannedRun
from gauss_vit.studies.study import Study
from gauss_vit.train.checkpoint.reader import best_step, saved_steps
from gauss_vit.train.workdir import lock, metrics_log, timing_log

DIVERGED = "diverged.json"
"""File in the folder of a run that has diverged: the reason."""


@dataclass(frozen=True, kw_only=True)
class RunState:
    """How far a run has come.

    Attributes:
      step: step of the newest line of its log.
      num_steps: step at which it ends; None until it has started.
      is_trained: whether its last step is saved.
      evaluation: what was measured at the end; None until then.
      diverged: why the run has no number and will have none; empty where it has or may have one.
      elapsed_seconds: seconds that it has taken; None before its first line.
    """

    step: int = 0
    num_steps: int | None = None
    is_trained: bool = False
    evaluation: Mapping[str, JsonValue] | None = None
    diverged: str = ""
    elapsed_seconds: float | None = None

    @property
    def is_finished(self) -> bool:
        """Whether the run is measured."""
        return self.evaluation is not None

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do."""
        return self.is_finished or bool(self.diverged)


def state_of(run: PlannedRun, study: Study) -> RunState:
    """Reads how far a run has come.

    Raises:
      DataError: one of its files is damaged.
    """
    if not (run.folder / lock.CONFIG).is_file():
        return RunState(diverged=_divergence(run))
    resolved = experiments.read(run.folder / lock.CONFIG, known=schema.classes_in(run.experiment))
    num_steps = resolved.training.total_steps
    is_trained = max(saved_steps(run.folder), default=0) >= num_steps
    step, elapsed = _newest_line(run.folder / timing_log.LINES)
    evaluation = _evaluation(run, study, num_steps=num_steps) if is_trained else None
    diverged = _divergence(run) if evaluation is None else ""
    if evaluation is not None and evaluation.get(study.metric, 0.0) is None:
        evaluation, diverged = None, f"its {study.metric} is not a finite number"
    return RunState(
        step=num_steps if is_trained else step,
        num_steps=num_steps,
        is_trained=is_trained,
        evaluation=evaluation,
        diverged=diverged,
        elapsed_seconds=elapsed,
    )


def record_divergence(run: PlannedRun, reason: str) -> None:
    """Keeps the reason why a run has diverged, which it would again.

    Raises:
      StorageError: it cannot be written.
    """
    make_folder(run.folder)
    lock.write_json(run.folder / DIVERGED, {"reason": reason})


def _divergence(run: PlannedRun) -> str:
    path = run.folder / DIVERGED
    if not path.is_file():
        return ""
    found = _read_object(path, do="remove it, and run the same command again")
    return str(found.get("reason", "")) or "diverged"


def _newest_line(path: Path) -> tuple[int, float | None]:
    """Returns the step and the seconds of the last whole line of the times of a run."""
    step, elapsed = 0, None
    if path.is_file():
        for text in read_lines(path):
            try:
                line = json.loads(text)
                step, elapsed = int(line["step"]), float(line["elapsed_seconds"])
            except (ValueError, TypeError, KeyError):
                continue
    return step, elapsed


def _evaluation(run: PlannedRun, study: Study, *, num_steps: int) -> Mapping[str, JsonValue] | None:
    """Returns what was measured, if it is what the study asks for."""
    path = run.folder / RESULT
    if not path.is_file():
        return None
    found = _read_object(path, do="remove it, and run the same command again")
    wanted_step = best_step(run.folder) if study.weights == "best" else num_steps
    split = study.split or run.experiment.data.eval_split
    weights = "ema" if study.weights == "ema" else None
    if (found.get("step"), found.get("split")) != (wanted_step, split):
        return None
    return found if found.get("weights") == weights and "subset" not in found else None


def latest_value(run: PlannedRun, study: Study) -> float | None:
    """Reads the newest value of the study's metric in the log of a run."""
    path, value = run.folder / metrics_log.LINES, None
    if path.is_file():
        for entry in metrics_log.entries(path):
            found = entry.get(study.metric) if entry["split"] not in (metrics_log.TRAIN, metrics_log.OBSERVE) else None
            value = found if isinstance(found, float) else value
    return value


def record(plan: Plan, run: PlannedRun) -> None:
    """Records the experiment of a run before it starts, or compares it with what was recorded.

    Raises:
      ConfigError: the run was started with another experiment.
      StorageError: the record cannot be written.
    """
    path, experiment = plan.own_folder / f"{run.stem}.json", run.experiment.to_json()
    if path.is_file():
        recorded = _read_object(path, do="choose a new --workdir")
        if run.experiment.with_defaults(recorded) == json.loads(json.dumps(experiment)):
            return
        raise ConfigError(
            f"{run.name} was started with another experiment than {plan.source} has now",
            do="choose a new --workdir, or undo the change",
        )
    make_folder(path.parent)
    lock.write_json(path, experiment)


def _read_object(path: Path, *, do: str) -> Mapping[str, JsonValue]:
    try:
        found = read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}", do=do) from error
    if not isinstance(found, dict):
        raise DataError(f"{path} cannot be read: it holds no JSON object", do=do)
    return found
