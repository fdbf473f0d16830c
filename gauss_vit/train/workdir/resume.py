"""The check that a run may continue with a config other than the one it was started with."""

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path

from gauss_vit.config.schema import JsonValue
from gauss_vit.errors import ConfigError
from gauss_vit.files import read_json
from gauss_vit.tasks.detection import Detection
from gauss_vit.train.checkpoint.metadata import DamagedError
from gauss_vit.train.checkpoint.reader import read_record, saved_steps
from gauss_vit.train.workdir.lock import CONFIG

MAY_CHANGE = (
    r"training\.(log|checkpoint|observe)_every",
    r"evaluators\.[^.]+\.(every|data_dir)",
    r"training\.(eval_batch_size|observe_images)",
    r"training\.(keep_checkpoints|keep_every|best(\..*)?)",
    r"data\.(data_dir|num_threads)",
    r"mesh\..*",
    r"platform",
    r"limits\..*",
    r"model\.compute\.(kernel|remat|unroll|platform)",
)
"""Paths of the experiment that affect how a run is logged, stored or computed, but not what it learns."""

OVERRIDE = "use its values to resume, add --resume=override to continue with these, or use a new --workdir"

_MAY_GROW = "training.num_steps"
_MICRO_BATCHES = "training.accumulate"
_EVALUATOR = re.compile(r"(evaluators\.[^.]+\.).*")
_ABSENT = "absent"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Differences:
    """Differences between two experiments, each as "path: old -> new".

    Attributes:
      allowed: those that do not change what is learned.
      learned: those that do.
    """

    allowed: tuple[str, ...] = ()
    learned: tuple[str, ...] = ()


def recorded_experiment(workdir: Path) -> dict[str, JsonValue] | None:
    """Finds the config that a workdir was started with: its config.json, or else the newest readable checkpoint's.

    Returns:
      The experiment as JSON, or None in a fresh workdir.
    """
    try:
        recorded = read_json(workdir / CONFIG)
    except (OSError, ValueError):
        recorded = None
    if isinstance(recorded, dict):
        return recorded
    for step in reversed(saved_steps(workdir)):
        try:
            return dict(read_record(workdir, step).experiment)
        except DamagedError:
            continue
    return None


def compare(recorded: Mapping[str, JsonValue], current: Mapping[str, JsonValue]) -> Differences:
    """Compares an experiment to continue with and the one that a run was started with.

    The number of steps may grow: a schedule without a length of its own is then stretched from the step of the resume
    on.

    Args:
      recorded: Experiment of the run; fields that did not exist then have their defaults.
      current: Experiment to continue with.
    """
    old, new = _flatten(recorded), _flatten(current)
    changed = [path for path in sorted(old.keys() | new.keys()) if old.get(path, _ABSENT) != new.get(path, _ABSENT)]
    lines = {path: f"{path}: {old.get(path, _ABSENT)} -> {new.get(path, _ABSENT)}" for path in changed}
    allowed = {path for path in changed if _is_allowed(path, old, new)}
    return Differences(
        allowed=tuple(lines[path] for path in changed if path in allowed),
        learned=tuple(lines[path] for path in changed if path not in allowed),
    )


def require_same_run(differences: Differences, *, do: str = OVERRIDE) -> None:
    """Checks that nothing differs that changes what is learned.

    Args:
      differences: Differences from the run in the workdir.
      do: What to do about them; an override does not help where the checkpoints have other arrays.

    Raises:
      ConfigError: code RESUME-CONFIG, with every such difference.
    """
    if differences.learned:
        raise ConfigError(
            f"the workdir holds a run with another config: {'; '.join(differences.learned)}",
            code="RESUME-CONFIG",
            do=do,
        )


def _is_allowed(path: str, old: Mapping[str, str], new: Mapping[str, str]) -> bool:
    """Returns whether a difference may be accepted; evaluators may be added and removed as a whole."""
    if path == _MAY_GROW and path in old and path in new:
        return float(new[path]) > float(old[path])
    if path == _MICRO_BATCHES:
        # The terms of a detector are divided by the counts of each micro-batch.
        return all(side.get("task.type") != json.dumps(Detection.__name__) for side in (old, new))
    evaluator = _EVALUATOR.fullmatch(path)
    if evaluator and any(f"{evaluator[1]}name" not in side for side in (old, new)):
        return True
    return any(re.fullmatch(pattern, path) for pattern in MAY_CHANGE)


def _flatten(value: JsonValue | Mapping[str, JsonValue], path: str = "") -> dict[str, str]:
    """Maps the dotted path of every scalar, list or empty object to its JSON text; evaluators go by their names."""
    if path == "evaluators" and isinstance(value, list):
        value = {str(item["name"]): item for item in value}
    if not isinstance(value, Mapping) or not value:
        return {path: json.dumps(value)}
    flat: dict[str, str] = {}
    for key, item in value.items():
        flat.update(_flatten(item, f"{path}.{key}" if path else key))
    return flat
