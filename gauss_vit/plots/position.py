"""Figures of position biases: offset tables layer by layer, rows of single patches, and fits over depth."""

import math

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from gauss_vit.analysis.position import LearnedGaussian, PositionAnalysis, row_of
from gauss_vit.analysis.token import Token
from gauss_vit.plots.canvas import (
    LABEL_SIZE,
    TICK_SIZE,
    TWO_COLUMNS_INCHES,
    add_shared_colour_bar,
    blank_figure,
    hide_box,
    style_axes,
    write_caption,
    write_heading,
)

MOST_COLUMNS = 6
CELL_INCHES = 1.5
_BAR_INCHES = 1.2
PATCH_COLOUR = "#00e5ff"
# Colours that differ in print and for the colour-blind (Okabe and Ito).
BIAS_COLOURS = ("viridis", "RdBu_r")
VERTICAL, HORIZONTAL, QUALITY = "#0072b2", "#d55e00", "#009e73"


def tables_figure(analysis: PositionAnalysis, *, title: str) -> Figure:
    """Draws the offset table of every layer, averaged over heads, on one scale of logits.

    Args:
      analysis: analysis of the model's position bias.
      title: name of the model.
    """
    columns = min(MOST_COLUMNS, analysis.depth)
    figure, panels = _panels(analysis.depth, columns, shape=analysis.grid)
    height, width = analysis.grid
    extent = (0.5 - width, width - 0.5, height - 0.5, 0.5 - height)
    norm, colours = bias_colours(analysis.tables)
    for index, axes in enumerate(panels):
        axes.imshow(analysis.tables[index], cmap=colours, norm=norm, extent=extent, interpolation="nearest")
        _name_panel(axes, f"layer {index}")
        _label_outer(axes, index, columns=columns, num_panels=analysis.depth, labels=("dx (patch)", "dy (patch)"))
    add_shared_colour_bar(figure, panels[0].images[0], panels, "bias (logits)")
    write_heading(figure, title)
    write_caption(figure, "Position bias by offset, query minus key; mean over heads")
    return figure


def rows_figure(analysis: PositionAnalysis, tokens: tuple[Token, ...], *, layer: int, title: str) -> Figure:
    """Draws the bias from a few query patches to every key patch in one layer; each query patch is outlined.

    Args:
      analysis: analysis of the model's position bias.
      tokens: query patches.
      layer: number of the layer, from 0.
      title: name of the model.
    """
    columns = min(MOST_COLUMNS, len(tokens))
    figure, panels = _panels(len(tokens), columns, shape=analysis.grid)
    table = analysis.tables[layer]
    norm, colours = bias_colours(table)
    for index, (axes, token) in enumerate(zip(panels, tokens, strict=True)):
        row = row_of(table, token, grid=analysis.grid)
        axes.imshow(row, cmap=colours, norm=norm, interpolation="nearest")
        corner = (token[1] - 0.5, token[0] - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=PATCH_COLOUR, linewidth=1.2, clip_on=False))
        _name_panel(axes, f"query {token}")
        _label_outer(axes, index, columns=columns, num_panels=len(tokens), labels=("column (patch)", "row (patch)"))
    add_shared_colour_bar(figure, panels[0].images[0], panels, "bias (logits)")
    write_heading(figure, title)
    write_caption(figure, f"Layer {layer}: bias from the outlined query patch to every key patch, mean over heads")
    return figure


def layers_figure(analysis: PositionAnalysis, *, title: str) -> Figure:
    """Draws sigma, peak and R squared of every layer: fitted, and learned if the model has a Gaussian term.

    Fits with a sigma beyond the grid's longer side have diverged: they are not drawn, and their layers are marked.

    Args:
      analysis: analysis of the model's position bias.
      title: name of the model.
    """
    figure = blank_figure(TWO_COLUMNS_INCHES, 2.7)
    sigma, peak, quality = figure.subplots(1, 3)
    layers = np.arange(analysis.depth)
    _draw_sigmas(sigma, layers, analysis)
    _draw_peaks(peak, layers, analysis)
    values = [fit.r_squared for fit in analysis.fits]
    quality.plot(layers, values, color=QUALITY, marker="o", markersize=3.5, linewidth=1.2)
    quality.set_ylim(0, 1.04)
    style_axes(quality, x_label="layer", y_label="R² of the Gaussian fit")
    for axes in (sigma, peak, quality):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_xlim(-0.5, analysis.depth - 0.5)
        axes.grid(axis="y", color="0.9", linewidth=0.6)
        axes.set_axisbelow(True)
        hide_box(axes)
    write_heading(figure, title)
    write_caption(figure, f"Fitted to the row of patch {analysis.token} minus its minimum, mean over heads")
    return figure


def _draw_sigmas(axes: Axes, layers: np.ndarray, analysis: PositionAnalysis) -> None:
    limit = max(analysis.grid)
    for name, colour in (("x", HORIZONTAL), ("y", VERTICAL)):
        fitted = np.array([fit.sigma_x if name == "x" else fit.sigma_y for fit in analysis.fits])
        shown = np.where(fitted <= limit, fitted, np.nan)
        axes.plot(layers, shown, color=colour, marker="o", markersize=3.5, linewidth=1.2, label=f"fitted {name}")
    if analysis.learned is not None:
        _draw_learned_sigmas(axes, layers, analysis.learned)
    diverged = [index for index, fit in enumerate(analysis.fits) if not max(fit.sigma_x, fit.sigma_y) <= limit]
    axes.set_ylim(0, None)
    axes.plot(
        diverged,
        np.full(len(diverged), 0.03),
        color="0.3",
        marker="x",
        markersize=5,
        linestyle="none",
        transform=axes.get_xaxis_transform(),
        label="no Gaussian" if diverged else "_",
    )
    style_axes(axes, x_label="layer", y_label="sigma (patches)")
    _add_legend(axes, columns=2)


def _draw_learned_sigmas(axes: Axes, layers: np.ndarray, learned: LearnedGaussian) -> None:
    down, across = np.abs(learned.sigma_y), np.abs(learned.sigma_x)
    if np.array_equal(down, across):
        _draw_heads(axes, layers, down, colour="0.2", label="learned")
        return
    _draw_heads(axes, layers, across, colour=HORIZONTAL, label="learned x")
    _draw_heads(axes, layers, down, colour=VERTICAL, label="learned y")


def _draw_peaks(axes: Axes, layers: np.ndarray, analysis: PositionAnalysis) -> None:
    """Draws the range of the table and the learned amplitude squared, both in logits."""
    ranges = analysis.tables.max(axis=(1, 2)) - analysis.tables.min(axis=(1, 2))
    axes.plot(layers, ranges, color=QUALITY, marker="o", markersize=3.5, linewidth=1.2, label="range of the table")
    if analysis.learned is not None:
        _draw_heads(axes, layers, analysis.learned.amplitude**2, colour="0.2", label="learned amplitude²")
    axes.set_ylim(0, None)
    style_axes(axes, x_label="layer", y_label="bias (logits)")
    _add_legend(axes, columns=1)


def _draw_heads(
    axes: Axes, layers: np.ndarray, values: Float[np.ndarray, "depth heads"], *, colour: str, label: str
) -> None:
    """Draws the mean over heads as a dashed line, and the range of the heads behind it."""
    axes.plot(
        layers,
        values.mean(axis=1),
        color=colour,
        linestyle=(0, (4, 2)),
        linewidth=1.2,
        marker="s",
        markersize=2.5,
        label=label,
    )
    if values.shape[1] > 1:
        axes.fill_between(layers, values.min(axis=1), values.max(axis=1), color=colour, alpha=0.15, linewidth=0)


def _add_legend(axes: Axes, *, columns: int) -> None:
    """Adds the legend above the lines, in additional room."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, low + 1.45 * (high - low))
    axes.legend(fontsize=TICK_SIZE, frameon=False, loc="upper left", ncols=columns, columnspacing=1.0, handlelength=1.8)


def _panels(num_panels: int, columns: int, *, shape: tuple[int, int]) -> tuple[Figure, list[Axes]]:
    """Returns image panels in rows of equal size, in a figure two columns of a page wide."""
    rows = math.ceil(num_panels / columns)
    proportion = min(2.0, max(0.5, shape[0] / shape[1]))
    cell = min(CELL_INCHES, (TWO_COLUMNS_INCHES - _BAR_INCHES) / columns)
    height_inches = rows * (cell * proportion + 0.3) + 0.95
    figure = blank_figure(TWO_COLUMNS_INCHES, height_inches, layout="compressed")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[num_panels:]:
        axes.remove()
    return figure, list(grid.flat[:num_panels])


def bias_colours(tables: Float[np.ndarray, "*layers dy dx"]) -> tuple[Normalize, str]:
    """Chooses the scale and colours of logits: sequential from 0 if none is negative, else diverging around 0."""
    largest = float(np.abs(tables).max()) or 1.0
    if tables.min() >= 0:
        return Normalize(vmin=0.0, vmax=largest), BIAS_COLOURS[0]
    return CenteredNorm(vcenter=0.0, halfrange=largest), BIAS_COLOURS[1]


def _name_panel(axes: Axes, name: str) -> None:
    axes.set_title(name, fontsize=LABEL_SIZE, pad=3)


def _label_outer(axes: Axes, index: int, *, columns: int, num_panels: int, labels: tuple[str, str]) -> None:
    """Labels only the axes at the left and lower edge of the panels."""
    is_left, is_lowest = index % columns == 0, index + columns >= num_panels
    style_axes(axes, x_label=labels[0] if is_lowest else "", y_label=labels[1] if is_left else "")
    axes.tick_params(labelbottom=is_lowest, labelleft=is_left)
    axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
