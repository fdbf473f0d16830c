"""The confusion matrix of a classifier as a picture of shares, readable for three classes and for a thousand."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from jaxtyping import Int
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from gauss_vit.escaping import escaped
from gauss_vit.plots.canvas import LABEL_SIZE, TICK_SIZE, blank_figure, write_caption, write_heading

_MOST_COUNTS, _MOST_NAMES = 25, 60
"""Classes up to which every count, and every name, is written."""

_LARGE, _MARKER = 0.05, 5.0
"""Share from which cells of many classes are enlarged, and the area of their marks in square points."""

_LONGEST_NAME = 24
_CHARACTERS_ABREAST = 40
"""Characters of all names together up to which they are written side by side, not turned."""

_COLOURS, _ABSENT = "Blues", "0.9"
_DARK = 0.35
"""Share from which a count is written in white: its cell is dark on the square-root scale."""


def confusion_figure(counts: Int[np.ndarray, "classes classes"], *, class_names: Sequence[str], title: str) -> Figure:
    """Draws the shares of each class's examples by predicted class, on a square-root scale.

    Counts are written into the cells of up to 25 classes, and the names of up to 60; more classes have their indices at
    round numbers.

    Args:
      counts: row i, column j is the number of examples of class i that are predicted as class j.
      class_names: names of the classes.
      title: heading of the figure.
    """
    num_classes = len(counts)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.where(totals > 0, counts / np.maximum(totals, 1), np.nan)
    side = min(12.0, max(3.6, 2.2 + 0.28 * num_classes))
    figure = blank_figure(side + 1.0, side, layout="compressed")
    axes = figure.subplots()
    colours, norm = mpl.colormaps[_COLOURS].with_extremes(bad=_ABSENT), PowerNorm(0.5, 0.0, 1.0)
    image = axes.imshow(shares, cmap=colours, norm=norm)
    _label(axes, class_names)
    if num_classes <= _MOST_COUNTS:
        _write_counts(axes, counts, shares)
    if num_classes > _MOST_NAMES:
        rows, columns = np.nonzero(shares >= _LARGE)
        order = np.argsort(shares[rows, columns])
        rows, columns = rows[order], columns[order]
        axes.scatter(
            columns, rows, c=shares[rows, columns], cmap=colours, norm=norm, s=_MARKER, marker="s", linewidths=0
        )
        write_caption(figure, f"Shares of {100 * _LARGE:.0f} % and more are drawn larger than their cells.")
    bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02, ticks=[0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1])
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    bar.ax.tick_params(labelsize=TICK_SIZE)
    bar.set_label("share of the true class (square-root scale)", fontsize=LABEL_SIZE)
    write_heading(figure, title)
    return figure


def _label(axes: Axes, class_names: Sequence[str]) -> None:
    axes.set_xlabel("predicted class", fontsize=LABEL_SIZE)
    axes.set_ylabel("true class", fontsize=LABEL_SIZE)
    axes.tick_params(labelsize=TICK_SIZE, width=0.6, length=2)
    if len(class_names) > _MOST_NAMES:
        return
    shown = map(escaped, class_names)
    names = [name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…" for name in shown]
    places = np.arange(len(names))
    is_short = max(map(len, names)) * len(names) <= _CHARACTERS_ABREAST
    axes.set_yticks(places, names, parse_math=False)
    axes.set_xticks(places, names, rotation=0 if is_short else 90, parse_math=False)


def _write_counts(axes: Axes, counts: Int[np.ndarray, "classes classes"], shares: np.ndarray) -> None:
    for row, column in np.ndindex(*counts.shape):
        if counts[row, column]:
            colour = "white" if shares[row, column] > _DARK else "0.2"
            axes.text(
                column, row, f"{counts[row, column]:,}", ha="center", va="center", fontsize=TICK_SIZE - 1, color=colour
            )
