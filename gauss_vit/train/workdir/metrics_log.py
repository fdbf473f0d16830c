"""metrics.jsonl: all metrics of a run, one JSON object per line, bit-identical however often the run was interrupted.

A line holds the step, the split ("train", "observe", or the name of an evaluator) and the metrics; never a time. A
number that is not finite is written as null. The same numbers as a table are in metrics.csv, written from the lines
when a process of the run ends.
"""

import contextlib
import csv
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from gauss_vit.errors import StorageError, storage_error
from gauss_vit.files import append_text, read_lines, replacing

LINES, TABLE = "metrics.jsonl", "metrics.csv"
TRAIN, OBSERVE = "train", "observe"

Entry = dict[str, str | int | float | None]


class MetricsLog:
    """An open metrics.jsonl that lines are appended to.

    Args:
      workdir: folder of the run.
      step: step at which training continues; later lines (they will be written again) and a torn last line are dropped.

    Raises:
      StorageError: the file cannot be written.
    """

    def __init__(self, workdir: Path, *, step: int):
        self._path = workdir / LINES
        self._table = workdir / TABLE
        try:
            _drop_after(self._path, step)
            self._file = append_text(self._path)
        except OSError as error:
            raise _unwritable(self._path, error) from error

    def append(self, split: str, step: int, values: Mapping[str, float]) -> None:
        """Writes one line, which is flushed to the operating system at once.

        Raises:
          StorageError: the file cannot be written.
        """
        numbers = {name: value if math.isfinite(value) else None for name, value in values.items()}
        try:
            self._file.write(json.dumps({"step": step, "split": split, **numbers}, allow_nan=False) + "\n")
            self._file.flush()
        except OSError as error:
            raise _unwritable(self._path, error) from error

    def sync(self) -> None:
        """Waits until the lines are on the disk, so that no checkpoint outlives the lines before it.

        Raises:
          StorageError: the file cannot be written.
        """
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _unwritable(self._path, error) from error

    def write_table(self) -> None:
        """Writes metrics.csv from all lines.

        Raises:
          StorageError: the file cannot be written.
        """
        try:
            with replacing(self._table) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, fieldnames=_columns(self._path), restval="")
                writer.writeheader()
                writer.writerows(entries(self._path))
        except OSError as error:
            raise _unwritable(self._table, error) from error

    def close(self) -> None:
        """Closes the file; a line that could not be written was an error before."""
        with contextlib.suppress(OSError):
            self._file.close()


def entries(path: Path) -> Iterator[Entry]:
    """Reads the lines of a metrics.jsonl that are whole."""
    if not path.exists():
        return
    for line in read_lines(path):
        entry = _parse(line)
        if entry is not None:
            yield entry


def splits_at(workdir: Path, step: int) -> set[str]:
    """Returns the splits in metrics.jsonl at a step: names of evaluators, "train" and "observe"."""
    return {str(entry["split"]) for entry in entries(workdir / LINES) if entry["step"] == step}


def last_step(workdir: Path, split: str) -> int:
    """Returns the step of the last line of a split in metrics.jsonl; 0 if there is none."""
    return max((int(entry["step"] or 0) for entry in entries(workdir / LINES) if entry["split"] == split), default=0)


def values_by_step(workdir: Path, split: str, name: str) -> dict[int, float]:
    """Returns the finite values of a metric in metrics.jsonl by step."""
    found = {entry["step"]: entry.get(name) for entry in entries(workdir / LINES) if entry["split"] == split}
    return {int(step): float(value) for step, value in found.items() if step is not None and value is not None}


def _drop_after(path: Path, step: int) -> None:
    """Rewrites a file without the lines after a step and without a torn one, if there are any."""
    if not path.exists() or all(_is_kept(line, step) for line in read_lines(path)):
        return
    with replacing(path) as fresh, fresh.open("w", encoding="utf-8") as new:
        new.writelines(line for line in read_lines(path) if _is_kept(line, step))


def _is_kept(line: str, step: int) -> bool:
    entry = _parse(line)
    return entry is not None and int(entry["step"] or 0) <= step


def _parse(line: str) -> Entry | None:
    """Reads one line; None if it is torn."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not line.endswith("\n") or not isinstance(entry, dict) or not {"step", "split"} <= entry.keys():
        return None
    return entry if isinstance(entry["step"], int) else None


def _columns(path: Path) -> list[str]:
    """Lists every name that occurs, in the order of first occurrence."""
    names: dict[str, None] = {"step": None, "split": None}
    for entry in entries(path):
        names.update(dict.fromkeys(entry))
    return list(names)


def _unwritable(path: Path, error: OSError) -> StorageError:
    return storage_error(error, f"cannot write {path}")
