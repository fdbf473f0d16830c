"""The curves of a run's training, from its metrics."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gauss_vit.train.workdir.metrics_log import LINES, Entry, entries

MOST_POINTS = 400
_TITLES = {
    "top1": "Accuracy",
    "miou": "Mean IoU",
    "macc": "Mean accuracy of classes",
    "aacc": "Accuracy of pixels",
    "learning_rate": "Learning rate",
    "erf/half_mass_radius": "Receptive field",
}
_UNITS = {"top1": "%", "miou": "%", "macc": "%", "aacc": "%", "erf/half_mass_radius": "half of the mass within, pixels"}
_LEFT_OUT = ("num_", "top5", "loss")


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A metric of one split over the steps of a run.

    Attributes:
      name: the split: "train", the name of an evaluator, or "observe".
      steps: steps at which it was logged.
      values: its values; None where it is not finite.
    """

    name: str
    steps: tuple[int, ...]
    values: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """The curves of one metric.

    Attributes:
      name: key of the metric, with letters, digits and underscores alone.
      title: name of the metric in words.
      unit: unit of its values; empty if it has none.
      curves: one for each split that has it.
    """

    name: str
    title: str
    unit: str
    curves: tuple[Curve, ...]


def curves_of(workdir: Path) -> tuple[Chart, ...]:
    """Reads loss, the measures of the evaluators, half-mass radius and learning rate; none if there is no log."""
    logged = tuple(entries(workdir / LINES))
    measured = [
        key
        for entry in logged
        if entry["split"] not in ("train", "observe")
        for key in entry
        if key not in ("step", "split") and not key.startswith(_LEFT_OUT)
    ]
    keys = dict.fromkeys(["loss", *measured, "erf/half_mass_radius", "learning_rate"])
    charts = (_chart(key, logged) for key in keys)
    return tuple(chart for chart in charts if chart.curves)


def _chart(key: str, logged: Sequence[Entry]) -> Chart:
    splits: dict[str, list[Entry]] = {}
    for entry in logged:
        if key in entry:
            splits.setdefault(str(entry["split"]), []).append(entry)
    scale = 100 if _UNITS.get(key) == "%" else 1
    return Chart(
        name="".join(letter if letter.isalnum() else "_" for letter in key),
        title=_TITLES.get(key, key.replace("_", " ").capitalize()),
        unit=_UNITS.get(key, ""),
        curves=tuple(
            Curve(
                name=split,
                steps=tuple(int(entry["step"] or 0) for entry in _thinned(found)),
                values=tuple(_scaled(entry[key], scale) for entry in _thinned(found)),
            )
            for split, found in splits.items()
        ),
    )


def _thinned(found: Sequence[Entry]) -> Sequence[Entry]:
    """Keeps at most `MOST_POINTS` entries, evenly spaced, the last one among them."""
    return found[::-1][:: math.ceil(len(found) / MOST_POINTS)][::-1]


def _scaled(value: str | float | None, scale: int) -> float | None:
    return float(f"{scale * value:.5g}") if isinstance(value, int | float) and math.isfinite(value) else None
