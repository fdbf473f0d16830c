"""What every benchmark reports: rows of ours beside a peer's, with their ratio and the bar it must reach."""

import dataclasses
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import timing

SETTINGS = ("XLA_FLAGS", "GLIBC_TUNABLES", "OMP_WAIT_POLICY", "XLA_PYTHON_CLIENT_PREALLOCATE")
"""What a record keeps of the environment."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure:
    """A repeated measurement.

    Attributes:
      median: of all rounds.
      min: the smallest.
      max: the largest.
      unit: "s", "images/s", "MB"; empty for a ratio.
    """

    median: float
    min: float
    max: float
    unit: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One comparison.

    Attributes:
      what: what was measured.
      ours: our side.
      peer: the other side; None where there is none.
      ratio: of both, in pairs; None where there is no other side.
      at_least: the bar of the ratio (of `ours` where there is none), where more is better.
      at_most: the bar of the ratio (of `ours` where there is none), where less is better.
    """

    what: str
    ours: Figure
    peer: Figure | None = None
    ratio: Figure | None = None
    at_least: float | None = None
    at_most: float | None = None


def figure(values: Sequence[float], unit: str = "") -> Figure:
    """Sums up repeated values."""
    return Figure(median=float(np.median(values)), min=float(min(values)), max=float(max(values)), unit=unit)


def quotient(above: Sequence[float], below: Sequence[float]) -> Figure:
    """Divides in pairs that ran one after the other."""
    return figure([one / other for one, other in zip(above, below, strict=True)])


def record(
    rows: Sequence[Row], *, ratio: str, peer: str, notes: Sequence[str] = (), **details: object
) -> dict[str, object]:
    """Makes the JSON record of a benchmark.

    Args:
      rows: all comparisons.
      ratio: what is divided by what, as the head of a column.
      peer: who the other side is, as the head of a column.
      notes: what a reader must know of the sides, as sentences.
      details: whatever else is worth keeping, such as all timings; `peer_versions` are shown.
    """
    module = sys.modules["__main__"].__spec__
    name = "benchmark" if module is None else module.name
    return {
        "benchmark": name,
        "command": " ".join(["python", "-m", name, *(shlex.quote(word) for word in shown(sys.argv[1:]))]),
        "settings": {name: os.environ.get(name, "") for name in SETTINGS},
        "commit": timing.commit(),
        "machine": timing.machine(),
        "peer": peer,
        "ratio": ratio,
        "notes": list(notes),
        "rows": [dataclasses.asdict(row) for row in rows],
        **details,
    }


def shown(words: Sequence[str]) -> list[str]:
    """Leaves out of a command line where the result goes, and replaces paths of this machine by what they are."""
    places = {
        "--peer-python": "PYTHON_WITH_TIMM",
        "--tf-python": "PYTHON_WITH_TENSORFLOW",
        "--torch-python": "PYTHON_WITH_TORCHVISION",
        "--images": "PHOTOS",
        "--data": "PHOTOS",
    }
    kept = [word for word in words if not word.startswith("--out")]
    return [f"{name}={places[name]}" if (name := word.partition("=")[0]) in places else word for word in kept]


def show(rows: Sequence[Row]) -> None:
    """Prints a table."""
    width = max(len(row.what) for row in rows)
    for row in rows:
        cells = [text(row.ours), "-" if row.peer is None else text(row.peer)]
        found = "" if row.ratio is None else f"ratio {text(row.ratio)}"
        print(f"{row.what:{width}}  {cells[0]:>28}  {cells[1]:>28}  {found}  {verdict(row)}", flush=True)


def text(shown: Figure) -> str:
    """Writes a figure as its median and, where they differ, its extremes.

    >>> text(Figure(median=1.5, min=1.25, max=2.0, unit="s"))
    '1.50 (1.25 to 2.00) s'
    """
    unit = f" {shown.unit}" if shown.unit else ""
    if not shown.min < shown.max:
        return f"{number(shown.median)}{unit}"
    return f"{number(shown.median)} ({number(shown.min)} to {number(shown.max)}){unit}"


def number(value: float) -> str:
    """Writes three digits at least, and no more than one needs.

    >>> [number(1234.5), number(12.345), number(0.04567), number(0.00021)]
    ['1234', '12.3', '0.046', '2.1e-04']
    """
    if 0 < value < 0.0005:
        return f"{value:.1e}"
    if value >= 100:
        return f"{value:.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def verdict(row: Row) -> str:
    """Says which bar a row has, and whether its median reaches it."""
    found = (row.ratio or row.ours).median
    if row.at_least is not None:
        return f">= {row.at_least:g}: {'met' if found >= row.at_least else 'missed'}"
    if row.at_most is not None:
        return f"<= {row.at_most:g}: {'met' if found <= row.at_most else 'missed'}"
    return ""


def write(path: Path | None, found: dict[str, object]) -> None:
    """Writes a record as JSON, where a path is given."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found, indent=2) + "\n")
