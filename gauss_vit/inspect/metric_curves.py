"""Metrics over the steps of runs, read from their logs, drawn in one figure and written as numbers."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gauss_vit.class_names import listed
from gauss_vit.config.schema import nearest
from gauss_vit.errors import ConfigError, DataError
from gauss_vit.inspect.metric_names import scale_of, title_of, unit_of
from gauss_vit.inspect.result_files import (
    DEFAULT_FORMATS,
    FigureFormats,
    file_names,
    suffixed,
    write_figures,
    write_record,
)
from gauss_vit.plots.curves import MAX_CURVES, Chart, Curve, curves_figure
from gauss_vit.train.workdir.metrics_log import LINES, OBSERVE, TRAIN, Entry, entries


def write_curves(
    out: Path, workdirs: Sequence[Path], names: Sequence[str], *, formats: FigureFormats = DEFAULT_FORMATS
) -> tuple[str, ...]:
    """Draws metrics over the steps of runs, with the values in OUT.json.

    Args:
      out: path of the results, without a suffix.
      workdirs: folders of one to eight runs.
      names: metrics with their split, such as "eval/segm_AP".
      formats: those of the figure.

    Returns:
      The lines that tell a user what came out and what was written.

    Raises:
      ConfigError: there are no runs or too many, or none has logged a metric.
      DataError: a folder has no metrics.
      StorageError: the results cannot be written.
    """
    if not 1 <= len(workdirs) <= MAX_CURVES:
        message = f"compare --metrics takes 1 to {MAX_CURVES} workdirs and got {len(workdirs)}"
        raise ConfigError(message, do="name the folders of runs")
    charts = charts_of(tuple(dict.fromkeys(workdirs)), tuple(dict.fromkeys(names)))
    figure = curves_figure(charts)
    write_record(suffixed(out, "json"), _record(charts))
    write_figures(out, figure, formats=formats)
    curves = (line for chart in charts for line in _described(chart))
    return (*curves, f"{file_names(out, 'json', formats=formats)}: {len(charts)} metrics of {len(workdirs)} runs")


def charts_of(workdirs: Sequence[Path], names: Sequence[str]) -> tuple[Chart, ...]:
    """Reads metrics of runs, one chart for each metric with a curve of every run that has logged it.

    Raises:
      ConfigError: none has logged a metric.
      DataError: a folder has no metrics.
    """
    logs = dict(zip(_run_names(workdirs), (_logged(workdir) for workdir in workdirs), strict=True))
    known = tuple(dict.fromkeys(name for log in logs.values() for entry in log for name in _names(entry)))
    for name in names:
        if name not in known:
            meant = nearest(name, known)
            measured_first = sorted(known, key=lambda each: each.startswith((f"{TRAIN}/", f"{OBSERVE}/")))
            do = f"did you mean {meant}?" if meant else f"known: {listed(measured_first)}"
            raise ConfigError(f"none of {len(workdirs)} runs has logged {name}", do=do)
    return tuple(_chart(name, logs) for name in names)


def _run_names(workdirs: Sequence[Path]) -> tuple[str, ...]:
    """Names runs by their folders, or by whole paths where folders have one name."""
    short = tuple(workdir.absolute().name for workdir in workdirs)
    return short if len(set(short)) == len(short) else tuple(map(str, workdirs))


def _logged(workdir: Path) -> tuple[Entry, ...]:
    found = tuple(entries(workdir / LINES))
    if not found:
        raise DataError(f"{workdir} has no {LINES} with metrics", do="name folders of runs that have logged something")
    return found


def _names(entry: Entry) -> Iterator[str]:
    return (f"{entry['split']}/{key}" for key in entry if key not in ("step", "split"))


def _chart(name: str, logs: Mapping[str, Sequence[Entry]]) -> Chart:
    split, _, key = name.partition("/")
    found = {run: [entry for entry in log if entry["split"] == split and key in entry] for run, log in logs.items()}
    curves = tuple(_curve(run, key, logged) for run, logged in found.items() if logged)
    return Chart(name=name, title=f"{title_of(key)} ({split})", unit=unit_of(key), curves=curves)


def _curve(run: str, key: str, logged: Sequence[Entry]) -> Curve:
    return Curve(
        name=run,
        steps=tuple(int(entry["step"] or 0) for entry in logged),
        values=tuple(_scaled(entry[key], scale_of(key)) for entry in logged),
    )


def _scaled(value: str | float | None, scale: int) -> float | None:
    return float(f"{scale * value:.6g}") if isinstance(value, int | float) and math.isfinite(value) else None


def _described(chart: Chart) -> Iterator[str]:
    """Names the last value of each run, and of percentages the highest one where that was an earlier one."""
    for curve in chart.curves:
        known = [(value, step) for step, value in zip(curve.steps, curve.values, strict=True) if value is not None]
        if not known:
            yield f"{chart.title}, {curve.name}: no finite value"
            continue
        (value, step), (highest, at) = known[-1], max(known)
        unit = f" {chart.unit}" if chart.unit == "%" else ""
        peak = f", highest {highest:.4g}{unit} at step {at:,}" if unit and highest > value else ""
        yield f"{chart.title}, {curve.name}: {value:.4g}{unit} at step {step:,}{peak}"


def _record(charts: Sequence[Chart]) -> dict[str, object]:
    return {
        "metrics": [
            {
                "name": chart.name,
                "unit": chart.unit,
                "runs": [
                    {"run": curve.name, "steps": list(curve.steps), "values": list(curve.values)}
                    for curve in chart.curves
                ],
            }
            for chart in charts
        ]
    }
