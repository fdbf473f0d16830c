"""Figures of a study: seeds with means and intervals, paired differences, and learned numbers over layers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from gauss_vit.plots.canvas import (
    COLUMN_INCHES,
    FAINT,
    LABEL_SIZE,
    TICK_SIZE,
    TWO_COLUMNS_INCHES,
    add_legend_above,
    add_shared_legend,
    blank_figure,
    hide_box,
    legend_columns,
    style_axes,
    write_caption,
    write_heading,
)
from gauss_vit.plots.comparison import line_look

_ROW_INCHES, _FRAME_INCHES = 0.36, 1.45
_BELOW = 0.24  # of a row: seeds are drawn below the mean, which would cover them.
_CURVE_INCHES = 2.1
_LEGEND_ROW_INCHES, _LEGEND_LETTERS = 0.17, 48
_IMAGES_WIDTH, _SEEDS_WIDTH = 5.0, 1.5
_BAND_COLOUR = "#bcd6e8"
_MARK_COLOUR = "#0b5c8f"


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One row of a panel, in the units of its axis.

    Attributes:
      name: label of the row.
      points: value of each seed.
      mean: their mean.
      over_seeds: (low, high) interval of the mean over seeds; None where there is none.
      over_images: (low, high) interval over test images; None as well.
    """

    name: str
    points: tuple[float, ...]
    mean: float
    over_seeds: tuple[float, float] | None
    over_images: tuple[float, float] | None


def study_figure(
    arms: Sequence[Bar], differences: Sequence[Bar], *, title: str, metric: str, baseline: str, unit: str
) -> Figure:
    """Draws arms at the left, and their differences from the baseline at the right, a row each.

    Dots are seeds; a ring is their mean, a thin line its interval over seeds, a wide one that over test images. The
    figure is two columns of a page wide.

    Args:
      arms: rows of all arms, from the top.
      differences: rows of the arms that are compared with the baseline; a panel is left out where there are none.
      title: title of the study.
      metric: name of the number.
      baseline: name of the baseline.
      unit: unit of the number; empty for none.
    """
    figure = blank_figure(TWO_COLUMNS_INCHES, _FRAME_INCHES + _ROW_INCHES * len(arms))
    panels = figure.subplots(1, 2 if differences else 1, squeeze=False)[0]
    in_unit = f" ({unit})" if unit else ""
    places = {bar.name: place for place, bar in enumerate(arms)}
    _draw_rows(panels[0], arms, places)
    style_axes(panels[0], x_label=f"{metric}{in_unit}", y_label="")
    if differences:
        _draw_rows(panels[1], differences, places)
        panels[1].axvline(0, color=FAINT, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
        points = " (points)" if unit == "%" else in_unit
        style_axes(panels[1], x_label=f"difference from {baseline}, within seeds{points}", y_label="")
    for panel in panels:
        _frame(panel, num_rows=len(arms))
    panels[0].set_yticklabels([bar.name for bar in arms], fontsize=LABEL_SIZE, parse_math=False)
    add_legend_above(panels[0], _legend(arms), columns=4)
    write_heading(figure, title)
    write_caption(figure, "Intervals of 95 %: over seeds by Student's t, over test images by the bootstrap")
    return figure


def _draw_rows(axes: Axes, bars: Sequence[Bar], places: Mapping[str, int]) -> None:
    for bar in bars:
        place = places[bar.name]
        if bar.over_images is not None:
            axes.plot(
                bar.over_images, (place, place), color=_BAND_COLOUR, linewidth=_IMAGES_WIDTH, solid_capstyle="butt"
            )
        if bar.over_seeds is not None:
            axes.plot(bar.over_seeds, (place, place), color=_MARK_COLOUR, linewidth=_SEEDS_WIDTH, solid_capstyle="butt")
        seeds = [place + _BELOW] * len(bar.points)
        axes.plot(bar.points, seeds, ".", color="black", markersize=4, markeredgewidth=0, alpha=0.7, zorder=3)
        axes.plot(bar.mean, place, "o", color="white", markeredgecolor=_MARK_COLOUR, markersize=5.5, zorder=4)


def _frame(axes: Axes, *, num_rows: int) -> None:
    axes.set_ylim(num_rows - 0.4, -0.6)
    axes.set_yticks(range(num_rows), labels=[""] * num_rows)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.grid(axis="x", color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    hide_box(axes)
    axes.spines["left"].set_visible(False)


def _legend(arms: Sequence[Bar]) -> list[Line2D]:
    seed = Line2D([], [], linestyle="", marker=".", color="black", markersize=4, label="seed")
    mean = Line2D([], [], linestyle="", marker="o", color="white", markeredgecolor=_MARK_COLOUR, label="mean")
    entries = [seed, mean]
    if any(bar.over_seeds is not None for bar in arms):
        entries.append(Line2D([], [], color=_MARK_COLOUR, linewidth=_SEEDS_WIDTH, label="over seeds"))
    if any(bar.over_images is not None for bar in arms):
        entries.append(Line2D([], [], color=_BAND_COLOUR, linewidth=_IMAGES_WIDTH, label="over images"))
    return entries


def learned_figure(learned: Mapping[str, Mapping[str, tuple[float, ...]]], *, title: str) -> Figure | None:
    """Draws what position terms have learned over the layers, a panel for each number; None for nothing.

    Args:
      learned: values over layers by the name of the number, such as `gaussian/sigma`, and then by arm.
      title: title of the figure.
    """
    if not learned:
        return None
    columns = min(2, len(learned))
    rows = -(-len(learned) // columns)
    arms = list(dict.fromkeys(arm for curves in learned.values() for arm in curves))
    columns_of_legend = legend_columns(arms, letters=_LEGEND_LETTERS * columns)
    legend_inches = _LEGEND_ROW_INCHES * -(-len(arms) // columns_of_legend)
    whole = blank_figure(COLUMN_INCHES * columns + 0.2, _CURVE_INCHES * rows + legend_inches + 0.4)
    write_heading(whole, title)
    write_caption(whole, "Means over seeds and, where a head has its own, over heads")
    figure = whole.add_subfigure(whole.add_gridspec(1, 1)[0, 0])
    cells = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for unused in cells[len(learned) :]:
        unused.remove()
    lines: dict[str, Line2D] = {}
    for axes, (name, curves) in zip(cells, learned.items(), strict=False):
        for arm, values in curves.items():
            colour, style = line_look(arms.index(arm))
            (lines[arm],) = axes.plot(
                range(len(values)), values, color=colour, linestyle=style, linewidth=1.1, label=arm
            )
            lines[arm].set(marker=".", markersize=4)
        axes.set_title(name, fontsize=LABEL_SIZE, parse_math=False)
        style_axes(axes, x_label="layer", y_label="")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.tick_params(labelsize=TICK_SIZE)
        hide_box(axes)
    add_shared_legend(figure, {arm: lines[arm] for arm in arms}, columns=columns_of_legend)
    return whole
