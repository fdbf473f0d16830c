"""The figure that shows how position terms start, one row a term: its tables, and the receptive field of a model."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm, PowerNorm
from matplotlib.figure import Figure

from gauss_vit.analysis.term_start import TermStart
from gauss_vit.plots.canvas import (
    FAINT,
    LABEL_SIZE,
    MASS_PER_PIXEL,
    SQUARE_ROOT,
    TICK_SIZE,
    add_shared_colour_bar,
    blank_figure,
    write_caption,
    write_heading,
)
from gauss_vit.plots.erf import COLOURS, DISPLAY_EXPONENT
from gauss_vit.position.term import MASKED

CLIP = 4.0
"""Logits beyond it have the colour of the end of the scale: a weight of e^-4, or 2 %, of that of an equal patch."""

MASS_CUT = 50
"""Part of the largest mass at which receptive fields are cut off: the patch itself has nearly all of it."""

MASK_COLOUR = "0.75"
_CELL_INCHES, _LABEL_INCHES, _BAR_INCHES = 0.62, 1.5, 1.0


def terms_figure(starts: Sequence[TermStart], *, title: str) -> Figure:
    """Draws the tables of every head and the receptive field of each term, on one scale of logits and one of mass.

    A term whose heads share a table has one panel. Masked offsets are grey.

    Args:
      starts: The terms, one row each.
      title: Title, such as the model's size.
    """
    heads = max(start.tables.shape[0] for start in starts)
    width = _LABEL_INCHES + (heads + 1) * _CELL_INCHES + _BAR_INCHES
    figure = blank_figure(width, len(starts) * (_CELL_INCHES + 0.1) + 1.1, layout="compressed")
    grid = figure.subplots(len(starts), heads + 1, squeeze=False)
    largest = max(float(start.field.max()) for start in starts)
    for row, start in zip(grid, starts, strict=True):
        _draw_row(list(row), start, mass=PowerNorm(DISPLAY_EXPONENT, vmin=0.0, vmax=100 * largest / MASS_CUT))
    grid[0, 0].set_title("receptive\nfield", fontsize=TICK_SIZE, pad=3)
    for index, axes in enumerate(grid[0, 1:]):
        axes.set_title(f"head {index}", fontsize=TICK_SIZE, pad=3)
    field, table, panels = grid[0, 0].images[0], grid[0, 1].images[0], list(grid.flat)
    add_shared_colour_bar(figure, table, panels, f"bias (logits), cut off at ±{CLIP:g}")
    add_shared_colour_bar(
        figure,
        field,
        panels,
        f"receptive field, {MASS_PER_PIXEL}, {SQUARE_ROOT}, cut off at 1/{MASS_CUT} of the largest",
    )
    write_heading(figure, title)
    write_caption(figure, _caption(starts[0]))
    return figure


def _draw_row(row: list[Axes], start: TermStart, *, mass: PowerNorm) -> None:
    """Draws the receptive field of a term, then its tables."""
    colours = mpl.colormaps["RdBu_r"].with_extremes(bad=MASK_COLOUR)
    row[0].imshow(100 * start.field, cmap=COLOURS, norm=mass, interpolation="nearest")
    row[0].set_ylabel(start.label, fontsize=LABEL_SIZE, rotation=0, ha="right", va="center", labelpad=6)
    num_tables = start.tables.shape[0]
    for axes, table in zip(row[1 : 1 + num_tables], start.tables, strict=True):
        shown = np.ma.masked_less(table, MASKED / 2)
        axes.imshow(shown, cmap=colours, norm=CenteredNorm(halfrange=CLIP), interpolation="nearest")
    for axes in row[1 + num_tables :]:
        axes.set_axis_off()
    if num_tables < len(row) - 1:
        _write_in(row[1 + num_tables], "all heads")
    for axes in row:
        axes.set_xticks([])
        axes.set_yticks([])


def _write_in(axes: Axes, text: str) -> None:
    """Writes a short remark into an empty panel."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, fontsize=TICK_SIZE, color=FAINT, ha="center", va="center")


def _caption(start: TermStart) -> str:
    height, width = start.grid
    rows, columns = start.tables.shape[1:]
    return (
        f"Tables over {rows} x {columns} offsets, query minus key, on {height} x {width} patches, in the first layer; "
        "the middle is the patch itself, grey is masked.\n"
        "Receptive field of the central patch: a model of random weights whose only position information is the term."
    )
