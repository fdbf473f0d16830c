"""What a finished run has to say, read back from its own files."""

import json
import re
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np
from jaxtyping import Bool, Int32

from gauss_vit.analysis.comparison import MeasuredField
from gauss_vit.config.schema import JsonValue
from gauss_vit.errors import DataError
from gauss_vit.files import read_json, read_lines
from gauss_vit.inspect.comparison import read as read_field
from gauss_vit.inspect.evaluation_results import PREDICTIONS, RESULT
from gauss_vit.inspect.npz_file import read_npz
from gauss_vit.studies.plan import PlannedRun
from gauss_vit.studies.run_state import RunState
from gauss_vit.studies.study import Study
from gauss_vit.train.checkpoint.metadata import DamagedError
from gauss_vit.train.checkpoint.reader import read_record
from gauss_vit.train.workdir import lock, metrics_log, timing_log

_OF_LAYER = re.compile(r"(?P<name>.+)/layer_(?P<layer>\d+)")
TOP1 = "top1"
_RADIUS = "erf/half_mass_radius"
_ROUNDING = 1e-5
_MEASURE_AGAIN = f"remove {RESULT} there, and run the same command again"


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """The numbers of a finished run.

    Attributes:
      run: the run.
      value: the study's metric.
      metrics: everything that was measured, by name.
      label: class of each test image; None for a task that predicts something else.
      is_right: whether each is predicted right; None as well, and where the study's metric is not the top-1 accuracy.
      learned: what position terms have learned, over layers, by TERM/NUMBER.
      half_mass_radius: radius in pixels that holds half of the receptive field; None where it was not observed.
      field: receptive field at the end; None as well.
      order: digest of the examples that would come next: equal for runs that saw the same data in the same order.
      seconds_per_step: median over the intervals of its log.
      seconds: seconds of the whole run.
      revision: revision of the code; None if unknown.
      machine: number and kind of its devices.
    """

    run: PlannedRun
    value: float
    metrics: Mapping[str, float]
    label: Int32[np.ndarray, " images"] | None
    is_right: Bool[np.ndarray, " images"] | None
    learned: Mapping[str, tuple[float, ...]]
    half_mass_radius: float | None
    field: MeasuredField | None
    order: str
    seconds_per_step: float | None
    seconds: float | None
    revision: str | None
    machine: str


def read_result(run: PlannedRun, state: RunState, study: Study) -> RunResult:
    """Reads a finished run.

    Raises:
      DataError: the metric of the study is not measured, or a file is missing, damaged or of another measurement.
    """
    measured = {name: float(value) for name, value in (state.evaluation or {}).items() if _is_number(value)}
    if study.metric not in measured:
        known = ", ".join(name for name in measured if name != "step")
        raise DataError(
            f"{run.folder / RESULT} has no number {study.metric!r}", do=f"let the study's metric be one of {known}"
        )
    value = measured.pop(study.metric)
    measured_step, last_step = int(measured["step"]), state.num_steps or 0
    observed = _observed(run, measured_step)
    label, is_right = _images(run)
    if study.metric != TOP1:
        is_right = None
    elif is_right is not None and abs(float(is_right.mean()) - value) > _ROUNDING:
        raise DataError(f"{run.folder / PREDICTIONS} is not of the same measurement as {RESULT}", do=_MEASURE_AGAIN)
    environment = _environment(run)
    return RunResult(
        run=run,
        value=value,
        metrics=measured,
        label=label,
        is_right=is_right,
        learned=over_layers(observed),
        half_mass_radius=observed.get(_RADIUS),
        field=_field(run, measured_step),
        order=_order(run, last_step),
        seconds_per_step=_seconds_per_step(run),
        seconds=state.elapsed_seconds,
        revision=None if environment.get("revision") is None else str(environment["revision"]),
        machine=f"{environment.get('num_devices')} x {environment.get('device_kind')}",
    )


def over_layers(observed: Mapping[str, float | None]) -> dict[str, tuple[float, ...]]:
    """Collects numbers of single layers, in the order of the layers; one that a layer lacks is left out.

    >>> over_layers({"gaussian/sigma/layer_01": 5.0, "gaussian/sigma/layer_00": 4.0, "erf/magnitude": 1.0})
    {'gaussian/sigma': (4.0, 5.0)}
    """
    found: dict[str, dict[int, float | None]] = {}
    for name, value in observed.items():
        if match := _OF_LAYER.fullmatch(name):
            found.setdefault(match["name"], {})[int(match["layer"])] = value
    in_order = {name: [layers[layer] for layer in sorted(layers)] for name, layers in found.items()}
    return {
        name: tuple(value for value in values if value is not None)
        for name, values in in_order.items()
        if None not in values
    }


def _is_number(value: JsonValue) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _observed(run: PlannedRun, step: int) -> dict[str, float | None]:
    """Reads the numbers of the observers at a step; None stands for one that is not finite."""
    for entry in metrics_log.entries(run.folder / metrics_log.LINES):
        if (entry["split"], entry["step"]) == (metrics_log.OBSERVE, step):
            return {name: value for name, value in entry.items() if value is None or isinstance(value, float)}
    return {}


def _images(
    run: PlannedRun,
) -> tuple[Int32[np.ndarray, " images"] | None, Bool[np.ndarray, " images"] | None]:
    path = run.folder / PREDICTIONS
    if not path.is_file():
        return None, None
    arrays = read_npz(path)
    label, predicted = arrays.get("label"), arrays.get("predicted")
    if label is None or predicted is None or label.shape != predicted.shape or label.ndim != 1:
        raise DataError(f"{path} does not hold the classes of images", do=_MEASURE_AGAIN)
    return label.astype(np.int32), label == predicted


def _field(run: PlannedRun, step: int) -> MeasuredField | None:
    path = run.folder / "erf" / f"step_{step:07d}.npz"
    return read_field(path) if path.is_file() else None


def _order(run: PlannedRun, step: int) -> str:
    try:
        return read_record(run.folder, step).progress.batch_digest
    except DamagedError as error:
        raise DataError(f"checkpoint {step} of {run.folder} is damaged: {error}", do=_MEASURE_AGAIN) from error


def _environment(run: PlannedRun) -> Mapping[str, JsonValue]:
    path = run.folder / lock.ENVIRONMENT
    try:
        found = read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}", do="train the run again in a new folder") from error
    return found if isinstance(found, dict) else {}


def _seconds_per_step(run: PlannedRun) -> float | None:
    batch_size = run.experiment.training.batch_size
    path = run.folder / timing_log.LINES
    speeds = list(_speeds(read_lines(path))) if path.is_file() else []
    return batch_size / statistics.median(speeds) if speeds else None


def _speeds(lines: Iterator[str]) -> Iterator[float]:
    for text in lines:
        try:
            speed = json.loads(text)["images_per_second"]
        except (ValueError, TypeError, KeyError):
            continue
        if _is_number(speed) and speed > 0:
            yield float(speed)
