"""timing.jsonl: times, speed and memory of a run, apart from metrics.jsonl, which is equal in every repetition.

Nothing is removed: steps that a resumed run repeats have a line each time, and every process ends with one.
docs/measurements.md lists the keys.
"""

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeGuard

from gauss_vit.config.schema import JsonValue
from gauss_vit.errors import StorageError, storage_error
from gauss_vit.files import append_text, open_regular, read_lines
from gauss_vit.train.wall_time import PHASES, Phase, breakdown, goodput
from gauss_vit.train.workdir.progress import duration

LINES = "timing.jsonl"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timing:
    """The time, the speed and the memory of an interval of steps.

    Attributes:
      epoch: Epochs made; None if the data set has no size.
      images_per_second: Speed in the interval; None where it has no step.
      model_flops_utilization: Share of the devices' peak that the model's operations took, from 0 to 1; None where it
        is not known.
      input_wait: Share of the interval's steps in which the devices waited for input, from 0 to 1.
      peak_device_memory_bytes: Most bytes that one device of the process has held; None where they are not counted.
      peak_host_memory_bytes: Most bytes of physical memory that the process has held.
      seconds: Seconds of the run up to here, by phase.
    """

    epoch: float | None
    images_per_second: float | None
    model_flops_utilization: float | None
    input_wait: float
    peak_device_memory_bytes: int | None
    peak_host_memory_bytes: int
    seconds: Mapping[Phase, float]

    def to_json(self) -> dict[str, JsonValue]:
        """Converts to JSON, with what follows from the seconds."""
        return {
            "epoch": _rounded(self.epoch, 4),
            "elapsed_seconds": round(sum(self.seconds.values()) - self.seconds["stopped"], 3),
            "images_per_second": _rounded(self.images_per_second, 1),
            "goodput": round(goodput(self.seconds), 4),
            "model_flops_utilization": _rounded(self.model_flops_utilization, 4),
            "input_wait": round(self.input_wait, 4),
            "peak_device_memory_bytes": self.peak_device_memory_bytes,
            "peak_host_memory_bytes": self.peak_host_memory_bytes,
            "seconds": {phase: round(self.seconds[phase], 3) for phase in PHASES},
        }

    def numbers(self) -> dict[str, float]:
        """Returns what trackers plot, without what is not known."""
        plotted = self.to_json()
        names = ("images_per_second", "goodput", "model_flops_utilization", "input_wait", "peak_device_memory_bytes")
        return {name: value for name in names if isinstance(value := plotted[name], int | float)}


class TimingLog:
    """An open timing.jsonl that lines are appended to.

    Args:
      workdir: folder of the run.

    Raises:
      StorageError: the file cannot be written.
    """

    def __init__(self, workdir: Path):
        self._path = workdir / LINES
        try:
            is_torn = _is_torn(self._path)
            self._file = append_text(self._path)
            self._file.write("\n" if is_torn else "")
        except OSError as error:
            raise _unwritable(self._path, error) from error

    def append(self, step: int, timing: Timing) -> None:
        """Writes one line.

        Raises:
          StorageError: the file cannot be written.
        """
        line = {"step": step, "time": round(time.time(), 3), **timing.to_json()}
        try:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
        except OSError as error:
            raise _unwritable(self._path, error) from error

    def close(self) -> None:
        """Closes the file; a line that could not be written was an error before."""
        with contextlib.suppress(OSError):
            self._file.close()


def seconds_before(workdir: Path, step: int) -> dict[Phase, float]:
    """Returns the seconds of a run's earlier processes by phase, for one that goes on at a step.

    Whatever came after the last line up to that step is `repeated`; from the last line of all until now is `stopped`.
    """
    last = reached = None
    for last in _lines(workdir / LINES):
        reached = last if last["step"] <= step else reached
    if last is None:
        return {}
    kept = dict.fromkeys(PHASES, 0.0) if reached is None else dict(reached["seconds"])
    kept["stopped"] = last["seconds"]["stopped"]
    kept["repeated"] += max(sum(last["seconds"].values()) - sum(kept.values()), 0.0)
    kept["stopped"] += max(time.time() - last["time"], 0.0)
    return kept


def summary(timing: Timing) -> str:
    """Says in one line how the wall time of a run was spent, and how much memory it took."""
    total = duration(sum(timing.seconds.values()))
    device = timing.peak_device_memory_bytes
    peaks = [] if device is None else [f"{device / 2**30:.1f} GiB on a device"]
    peaks.append(f"{timing.peak_host_memory_bytes / 2**30:.1f} GiB on the host")
    return f"wall time {total}: {breakdown(timing.seconds)}; peak memory {', '.join(peaks)}"


def _lines(path: Path) -> Iterator[dict]:
    """Reads the lines that are whole and say how time was spent."""
    if not path.exists():
        return
    for text in read_lines(path):
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if _is_whole(line):
            yield line


def _is_torn(path: Path) -> bool:
    """Returns whether a file ends within a line."""
    if not path.exists() or path.stat().st_size == 0:
        return False
    with open_regular(path) as file:
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"


def _is_whole(line: JsonValue) -> TypeGuard[dict]:
    """Returns whether a line has the numbers that the next process goes on from."""
    if not isinstance(line, dict) or not isinstance(seconds := line.get("seconds"), dict):
        return False
    numbers = (line.get("step"), line.get("time"), *seconds.values())
    return seconds.keys() == set(PHASES) and all(isinstance(number, int | float) for number in numbers)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _unwritable(path: Path, error: OSError) -> StorageError:
    return storage_error(error, f"cannot write {path}")
