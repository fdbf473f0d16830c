"""The figure of an absolute position embedding: which patches have similar vectors."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, Rectangle
from matplotlib.ticker import MaxNLocator

from gauss_vit.analysis.embedding import EmbeddingAnalysis
from gauss_vit.plots.canvas import (
    LABEL_SIZE,
    TICK_SIZE,
    TWO_COLUMNS_INCHES,
    add_shared_colour_bar,
    blank_figure,
    style_axes,
    write_caption,
    write_heading,
)

COLOURS = "RdBu_r"
PATCH_COLOUR = "black"
MOST_MAPS = 14
_ALIKE = CenteredNorm(vcenter=0.0, halfrange=1.0)


def similarity_figure(analysis: EmbeddingAnalysis, *, title: str) -> Figure:
    """Draws the similarities of every patch at its position in the grid, and enlarged those of the fitted patch.

    Grids of more than 14 patches a side show every second patch or fewer. The figure is two columns of a page wide.

    Args:
      analysis: analysis of a position embedding.
      title: name of the model.
    """
    rows, columns = analysis.grid
    proportion = min(2.0, max(0.4, rows / columns))
    figure = blank_figure(TWO_COLUMNS_INCHES, 2.65 * proportion + 1.2, layout="compressed")
    everywhere, one = figure.subplots(1, 2)
    step = -(-max(rows, columns) // MOST_MAPS)
    _draw_mosaic(everywhere, analysis, step=step)
    _draw_map(one, analysis)
    add_shared_colour_bar(figure, one.images[0], [everywhere, one], "cosine similarity")
    write_heading(figure, title)
    fit = analysis.fit
    fitted = (
        f"sigma x {fit.sigma_x:.2f}, y {fit.sigma_y:.2f} patches, R² {fit.r_squared:.3f}" if fit.converged else "none"
    )
    every = "every patch" if step == 1 else f"one in {step} x {step} patches"
    write_caption(
        figure, f"Left: one map for {every}, at its place\nRight: patch {analysis.token}, Gaussian fit: {fitted}"
    )
    return figure


def _draw_mosaic(axes: Axes, analysis: EmbeddingAnalysis, *, step: int) -> None:
    """Draws the maps side by side, with lines between them."""
    rows, columns = analysis.grid
    maps = analysis.similarity[::step, ::step]
    down, across = maps.shape[:2]
    image = maps.transpose(0, 2, 1, 3).reshape(down * rows, across * columns)
    extent = (-0.5, across - 0.5, down - 0.5, -0.5)
    axes.imshow(image, cmap=COLOURS, norm=_ALIKE, extent=extent, aspect=rows / columns, interpolation="nearest")
    axes.set_xticks(np.arange(0.5, across - 1), minor=True)
    axes.set_yticks(np.arange(0.5, down - 1), minor=True)
    axes.grid(which="minor", color="0.2", linewidth=0.5)
    axes.tick_params(which="minor", length=0)
    axes.set_xticks(range(0, across, 4), labels=[str(step * tick) for tick in range(0, across, 4)])
    axes.set_yticks(range(0, down, 4), labels=[str(step * tick) for tick in range(0, down, 4)])
    style_axes(axes, x_label="column of the patch", y_label="row of the patch")


def _draw_map(axes: Axes, analysis: EmbeddingAnalysis) -> None:
    axes.imshow(analysis.similarity[analysis.token], cmap=COLOURS, norm=_ALIKE, interpolation="nearest")
    row, column = analysis.token
    axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=PATCH_COLOUR, linewidth=1.0))
    fit = analysis.fit
    if fit.converged and max(fit.sigma_x, fit.sigma_y) <= max(analysis.grid):
        ellipse = Ellipse(
            (fit.center_x, fit.center_y),
            width=2 * fit.sigma_x,
            height=2 * fit.sigma_y,
            fill=False,
            edgecolor=PATCH_COLOUR,
            linestyle=(0, (4, 2)),
            linewidth=1.0,
            label="fit, 1 sigma",
        )
        axes.add_patch(ellipse)
        axes.legend(handles=[ellipse], fontsize=TICK_SIZE, loc="lower right", framealpha=0.7)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    style_axes(axes, x_label="column (patch)", y_label="row (patch)")
    axes.set_title(f"patch {analysis.token}", fontsize=LABEL_SIZE, pad=3)
