"""Strips: one small map for each layer, on one scale, so that one can follow a token through a model."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from gauss_vit.analysis.comparison import patch_sums
from gauss_vit.analysis.position import PositionAnalysis, row_of
from gauss_vit.analysis.token import Target
from gauss_vit.ops.grid import Grid
from gauss_vit.plots.canvas import (
    MASS_PER_PATCH,
    TICK_SIZE,
    TITLE_SIZE,
    TWO_COLUMNS_INCHES,
    blank_figure,
    fill_colour_bar,
    write_caption,
    write_heading,
)
from gauss_vit.plots.erf import COLOURS, PATCH_COLOUR
from gauss_vit.plots.position import bias_colours

MOST_ALONE, MOST_TOGETHER = 6, 12
_BAR_INCHES, _LARGEST_PANEL = 0.95, 1.6
_NAME_INCHES, _GAP_INCHES = 0.22, 0.06
_HEADING_INCHES, _CAPTION_INCHES = 0.22, 0.24
_WIDEST_RATIO = 1e4


@dataclass(frozen=True, kw_only=True)
class Strip:
    """The maps of a model, one for each layer.

    Attributes:
      title: name of the model.
      values: [layers, height, width], from the first layer.
    """

    title: str
    values: Float[np.ndarray, "layers height width"]


def field_strips_figure(strips: tuple[Strip, ...], *, targets: tuple[Target, ...], caption: str) -> Figure:
    """Draws the receptive field of every layer, for one model or for several below one another, on one scale.

    Fields are summed over the patches of the finest map, and the scale is logarithmic over up to four decades: in the
    first layer nearly all mass is in the target patch, and no linear scale shows the rest. The figure is two columns of
    a page wide.

    Args:
      strips: fields of models of the same depth, grids and image size; each map sums to 1.
      targets: target patch of every layer, which is outlined.
      caption: description of the measurement.
    """
    grid = max(target.grid for target in targets)
    summed = tuple(replace(strip, values=_percent_by_patch(strip.values, grid)) for strip in strips)
    norm = _logarithmic(np.concatenate([strip.values.ravel() for strip in summed]))
    figure = _draw(summed, targets, norm=norm, colours=COLOURS, label=f"{MASS_PER_PATCH}, log scale")
    patches = "patches" if len({target.grid for target in targets}) == 1 else "the patches of the first layer"
    write_caption(figure, f"{caption}; summed over {patches}, target outlined")
    return figure


def _logarithmic(shares: Float[np.ndarray, " shares"]) -> LogNorm:
    """Returns a scale from the smallest positive share to the largest, over at most four decades."""
    largest = float(shares.max())
    smallest = float(shares[shares > 0].min())
    return LogNorm(vmin=max(min(smallest, largest / 10), largest / _WIDEST_RATIO), vmax=largest, clip=True)


def _percent_by_patch(values: Float[np.ndarray, "layers height width"], grid: Grid) -> np.ndarray:
    return 100 * np.stack([patch_sums(layer, grid) for layer in values])


def bias_strip_figure(analysis: PositionAnalysis, *, title: str) -> Figure:
    """Draws the bias from the analysed patch to every key patch, layer by layer, on one scale.

    The figure is two columns of a page wide.

    Args:
      analysis: analysis of the model's position bias.
      title: name of the model.
    """
    rows = row_of(analysis.tables, analysis.token, grid=analysis.grid)
    norm, colours = bias_colours(rows)
    targets = (Target(token=analysis.token, grid=analysis.grid),) * len(rows)
    figure = _draw((Strip(title=title, values=rows),), targets, norm=norm, colours=colours, label="bias (logits)")
    height, width = analysis.grid
    caption = f"Bias from the outlined query patch {analysis.token} to every key patch, mean over heads"
    write_caption(figure, f"{caption}; {height} x {width} patches, one scale")
    return figure


def _draw(
    strips: tuple[Strip, ...], targets: tuple[Target, ...], *, norm: Normalize, colours: str, label: str
) -> Figure:
    """Draws strips below one another, each under its title, with one colour bar at the right."""
    depth, height, width = strips[0].values.shape
    columns = min(depth, MOST_ALONE if len(strips) == 1 else MOST_TOGETHER)
    rows = -(-depth // columns)
    panel = min(_LARGEST_PANEL, (TWO_COLUMNS_INCHES - _BAR_INCHES) / columns - _GAP_INCHES) * min(2.0, height / width)
    heading_lines = 1 + max(strip.title.count("\n") for strip in strips)
    strip_inches = rows * (panel + _NAME_INCHES) + heading_lines * _HEADING_INCHES
    figure = blank_figure(TWO_COLUMNS_INCHES, len(strips) * strip_inches + _CAPTION_INCHES)
    widths = (TWO_COLUMNS_INCHES - _BAR_INCHES, _BAR_INCHES)
    maps, bar = figure.subfigures(1, 2, squeeze=False, width_ratios=widths)[0]
    parts = maps.subfigures(len(strips), 1, squeeze=False)[:, 0]
    for part, strip in zip(parts, strips, strict=True):
        write_heading(part, strip.title, size=TITLE_SIZE)
        _draw_strip(part.subplots(rows, columns, squeeze=False), strip, targets, norm=norm, colours=colours)
    fill_colour_bar(bar, ScalarMappable(norm, colours), label)
    return figure


def _draw_strip(cells: np.ndarray, strip: Strip, targets: tuple[Target, ...], *, norm: Normalize, colours: str) -> None:
    """Draws the maps of one strip and removes unused cells."""
    depth = len(targets)
    for unused in cells.flat[depth:]:
        unused.remove()
    for index, axes in enumerate(cells.flat[:depth]):
        axes.imshow(strip.values[index], cmap=colours, norm=norm, interpolation="nearest")
        axes.add_patch(_outline(targets[index], (strip.values.shape[1], strip.values.shape[2])))
        axes.set_title(f"layer {index}" if index == 0 else f"{index}", fontsize=TICK_SIZE, pad=2)
        axes.set_xticks([])
        axes.set_yticks([])


def _outline(target: Target, shape: Grid) -> Rectangle:
    """Outlines a patch on an image of (height, width) cells, which may be finer than its map."""
    height, width = shape[0] / target.grid[0], shape[1] / target.grid[1]
    corner = (target.token[1] * width - 0.5, target.token[0] * height - 0.5)
    return Rectangle(corner, width, height, fill=False, edgecolor=PATCH_COLOUR, linewidth=0.8)
