"""The tables of a study as texts, for Markdown and for the page."""

from collections.abc import Sequence
from dataclasses import dataclass

from gauss_vit.analysis.bootstrap import Band
from gauss_vit.studies.study import Unit, shown
from gauss_vit.studies.summary import Summary, verdict
from gauss_vit.train.workdir.progress import duration

NOTES = (
    "A seed decides the initial values, the order of the data, augmentation and dropout; all arms of a seed saw the"
    " same data in the same order.",
    "Intervals over seeds are Student's t of the mean, with as many seeds as are listed: they say where the mean over"
    " all seeds that might have been drawn is likely to lie, on these test images.",
    "Intervals over images are of 2,000 draws of the test images, with replacement: they say how the numbers of these"
    " runs would vary with other images. Where there is none, single images are not known.",
    "Each interval stands for itself: of many differences that are zero, one in twenty is expected to exclude zero.",
)
"""What must be known to read the tables."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of texts.

    Attributes:
      title: what is in it.
      heading: names of the columns.
      rows: its rows; the first column names each.
    """

    title: str
    heading: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def main_tables(summary: Summary) -> tuple[Table, ...]:
    """Returns the tables of the result that have rows: differences and arms."""
    return _with_rows(_differences(summary), _arms(summary))


def other_tables(summary: Summary) -> tuple[Table, ...]:
    """Returns the other tables that have rows: cost, what was learned, single runs."""
    return _with_rows(_cost(summary), _learned(summary), _runs(summary))


def _with_rows(*tables: Table) -> tuple[Table, ...]:
    return tuple(table for table in tables if table.rows)


def verdicts(summary: Summary) -> tuple[str, ...]:
    """Says of each difference what can be claimed."""
    return tuple(verdict(each, baseline=summary.study.baseline) for each in summary.differences)


def _differences(summary: Summary) -> Table:
    study = summary.study
    return Table(
        title=f"{study.metric}: difference from {study.baseline}, within seeds{', in points' if study.unit else ''}",
        heading=("arm", "mean", "over seeds", "over images", "seeds", "what can be claimed"),
        rows=tuple(
            (
                each.arm,
                _signed(each.estimate.mean, study.unit),
                _interval(each.estimate.interval, study.unit, is_difference=True),
                _interval(each.over_images, study.unit, is_difference=True),
                str(len(each.by_seed)),
                verdict(each, baseline=study.baseline),
            )
            for each in summary.differences
        ),
    )


def _arms(summary: Summary) -> Table:
    study = summary.study
    return Table(
        title=f"{study.metric} of each arm",
        heading=("arm", "mean", "deviation", "over seeds", "over images", "seeds", "half-mass radius (px)"),
        rows=tuple(
            (
                arm.name,
                shown(arm.estimate.mean, study.unit),
                "" if arm.estimate.deviation is None else shown(arm.estimate.deviation, study.unit),
                _interval(arm.estimate.interval, study.unit),
                _interval(arm.over_images, study.unit),
                str(len(arm.results)),
                "" if arm.half_mass_radius is None else f"{arm.half_mass_radius.mean:.1f}",
            )
            for arm in summary.arms
        ),
    )


def _cost(summary: Summary) -> Table:
    known = {arm.name: arm.seconds_per_step for arm in summary.arms if arm.seconds_per_step is not None}
    base = known.get(summary.study.baseline)
    return Table(
        title="Cost of a step",
        heading=("arm", "ms a step", f"of that of {summary.study.baseline}"),
        rows=tuple(
            (name, f"{1000 * seconds:.0f}", "" if base is None else f"{seconds / base:.2f}")
            for name, seconds in known.items()
        ),
    )


def _learned(summary: Summary) -> Table:
    rows = [
        (arm.name, name, ", ".join(f"{value:.3g}" for value in values))
        for arm in summary.arms
        for name, values in arm.learned.items()
    ]
    return Table(
        title="Learned numbers of position terms, from the first layer",
        heading=("arm", "number", "layers"),
        rows=tuple(rows),
    )


def _runs(summary: Summary) -> Table:
    study = summary.study
    others = list(dict.fromkeys(name for result in summary.results for name in result.metrics if name != "step"))
    return Table(
        title="Runs",
        heading=("run", study.metric, *others, "time"),
        rows=tuple(
            (
                result.run.name,
                shown(result.value, study.unit),
                *(f"{result.metrics[name]:.5g}" if name in result.metrics else "" for name in others),
                "" if result.seconds is None else duration(result.seconds),
            )
            for result in sorted(summary.results, key=lambda result: result.run.index)
        ),
    )


def _interval(band: Band | None, unit: Unit, *, is_difference: bool = False) -> str:
    if band is None:
        return ""
    write = _signed if is_difference else shown
    low, high = (write(end, unit).removesuffix(" %") for end in band)
    return f"{low} to {high}{' %' if unit == '%' and not is_difference else ''}"


def _signed(value: float, unit: Unit) -> str:
    """Formats a difference, of shares in points.

    >>> _signed(-0.0123, "%"), _signed(0.5, "")
    ('-1.23', '+0.5')
    """
    return f"{100 * value:+.2f}" if unit == "%" else f"{value:+.4g}"


def markdown(table: Table) -> list[str]:
    """Writes a table in Markdown.

    >>> markdown(Table(title="T", heading=("a", "b"), rows=(("x|y", "1"),)))
    ['## T', '', '| a | b |', '|---|---|', '| x\\\\|y | 1 |', '']
    """
    lines: Sequence[Sequence[str]] = (table.heading, ("---",) * len(table.heading), *table.rows)
    cells = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    rows = [f"|{'|'.join(line)}|" if line[0] == "---" else f"| {' | '.join(line)} |" for line in cells]
    return [f"## {table.title}", "", *rows, ""]
