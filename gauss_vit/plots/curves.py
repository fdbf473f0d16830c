"""The figure of metrics over the steps of one or several runs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from gauss_vit.plots.canvas import (
    COLUMN_INCHES,
    TITLE_SIZE,
    TWO_COLUMNS_INCHES,
    add_shared_legend,
    blank_figure,
    hide_box,
    legend_columns,
    style_axes,
)
from gauss_vit.plots.comparison import LINE_COLOURS

MAX_CURVES = len(LINE_COLOURS)
_COLUMNS = 2
_PANEL_INCHES, _LEGEND_ROW_INCHES = 2.1, 0.17
_LEGEND_LETTERS = {1: 48, 2: 100}
_MOST_MARKED = 40


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A metric over the steps of a run.

    Attributes:
      name: what it is of: the run, or the split where all are of one run.
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
      name: key of the metric.
      title: name of the metric in words.
      unit: unit of its values; empty if it has none.
      curves: curves that are compared.
    """

    name: str
    title: str
    unit: str
    curves: tuple[Curve, ...]


def curves_figure(charts: Sequence[Chart]) -> Figure:
    """Draws a panel for each metric, with the curves of all runs in the same colours and one legend.

    Percentages begin at zero, and all panels have one scale if all are percentages. A curve of few values has a dot at
    each. Two panels are as wide as two columns of a page, a single one as a column.

    Args:
      charts: metrics, with at most eight names of curves.
    """
    columns = min(_COLUMNS, len(charts))
    num_rows = -(-len(charts) // columns)
    names = tuple(dict.fromkeys(curve.name for chart in charts for curve in chart.curves))
    columns_of_legend = legend_columns(names, letters=_LEGEND_LETTERS[columns])
    legend_inches = _LEGEND_ROW_INCHES * -(-len(names) // columns_of_legend)
    width = COLUMN_INCHES if columns == 1 else TWO_COLUMNS_INCHES
    figure = blank_figure(width, num_rows * _PANEL_INCHES + legend_inches)
    has_one_scale = {chart.unit for chart in charts} == {"%"}
    cells = figure.subplots(num_rows, columns, squeeze=False, sharey=has_one_scale).ravel()
    colours = dict(zip(names, LINE_COLOURS, strict=False))
    lines: dict[str, Line2D] = {}
    for axes, chart in zip(cells, charts, strict=False):
        lines |= {curve.name: _draw(axes, curve, colour=colours[curve.name]) for curve in chart.curves}
    # A limit that is set ends the scaling of all panels that share it.
    for axes, chart in zip(cells, charts, strict=False):
        _finish(axes, chart)
    for unused in cells[len(charts) :]:
        unused.remove()
    add_shared_legend(figure, {name: lines[name] for name in names}, columns=columns_of_legend)
    return figure


def _draw(axes: Axes, curve: Curve, *, colour: str) -> Line2D:
    values = [math.nan if value is None else value for value in curve.values]
    marker = "o" if len(curve.steps) <= _MOST_MARKED else ""
    (line,) = axes.plot(
        np.asarray(curve.steps), values, color=colour, linewidth=1.1, marker=marker, markersize=2.6, label=curve.name
    )
    return line


def _finish(axes: Axes, chart: Chart) -> None:
    hide_box(axes)
    style_axes(axes, x_label="step", y_label=chart.unit)
    axes.set_title(chart.title, fontsize=TITLE_SIZE, loc="left", parse_math=False)
    axes.tick_params(labelleft=True)
    axes.set_xlim(left=0)
    if chart.unit == "%":
        axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
