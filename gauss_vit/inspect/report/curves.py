"""The curves of a run's training, from its metrics."""

import math
from collections.abc import Sequence
from pathlib import Path

from gauss_vit.inspect.metric_names import scale_of, title_of, unit_of
from gauss_vit.metrics.coco import TITLES
from gauss_vit.plots.curves import Chart, Curve
from gauss_vit.train.workdir.metrics_log import LINES, Entry, entries

MOST_POINTS = 400
_LEFT_OUT = ("num_", "top5", "loss", *(f"{kind}_AR" for kind in TITLES))
_OF_SIZES = ("_small", "_medium", "_large")


def curves_of(workdir: Path) -> tuple[Chart, ...]:
    """Reads loss, the measures of the evaluators, half-mass radius and learning rate; none if there is no log.

    Of COCO's numbers precision over all sizes is read, not recall.
    """
    logged = tuple(entries(workdir / LINES))
    measured = [
        key
        for entry in logged
        if entry["split"] not in ("train", "observe")
        for key in entry
        if key not in ("step", "split") and not key.startswith(_LEFT_OUT) and not key.endswith(_OF_SIZES)
    ]
    keys = dict.fromkeys(["loss", *measured, "erf/half_mass_radius", "learning_rate"])
    charts = (_chart(key, logged) for key in keys)
    return tuple(chart for chart in charts if chart.curves)


def _chart(key: str, logged: Sequence[Entry]) -> Chart:
    splits: dict[str, list[Entry]] = {}
    for entry in logged:
        if key in entry:
            splits.setdefault(str(entry["split"]), []).append(entry)
    scale = scale_of(key)
    return Chart(
        name="".join(letter if letter.isalnum() else "_" for letter in key),
        title=title_of(key),
        unit=unit_of(key),
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
