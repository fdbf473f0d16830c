"""Figures of attention on images: mean distance and entropy of every head, and attention rollout."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from gauss_vit.analysis.attention import ImageAttention
from gauss_vit.analysis.token import Token, patch_box
from gauss_vit.ops.grid import Grid
from gauss_vit.plots.canvas import (
    FAINT,
    LABEL_SIZE,
    SQUARE_ROOT,
    TICK_SIZE,
    TWO_COLUMNS_INCHES,
    add_shared_colour_bar,
    blank_figure,
    hide_box,
    style_axes,
    write_caption,
    write_heading,
)
from gauss_vit.plots.erf import COLOURS, DISPLAY_EXPONENT, PATCH_COLOUR
from gauss_vit.quantities import counted

HEAD_COLOUR, MEAN_COLOUR = "#56b4e9", "#0072b2"
_PANEL_INCHES = 1.5


def distance_figure(attention: ImageAttention, *, title: str) -> Figure:
    """Draws mean attention distance and entropy over layers: a dot for each head, a line for their mean.

    Distances are in pixels; if all layers have the same square patches, a second axis counts patches. The figure is two
    columns of a page wide.

    Args:
      attention: attention of a model on images.
      title: name of the model.
    """
    figure = blank_figure(TWO_COLUMNS_INCHES, 2.7)
    distance, spread = figure.subplots(1, 2)
    layers = attention.layers
    _draw_heads(distance, [layer.distance_px for layer in layers], [layer.even_distance_px for layer in layers])
    style_axes(distance, x_label="layer", y_label="mean attention distance (pixel)")
    sides = {side for layer in layers for side in layer.patch_size}
    if len(sides) == 1:
        _add_patch_axis(distance, side=sides.pop())
    _draw_heads(spread, [layer.entropy for layer in layers], [layer.even_entropy for layer in layers])
    style_axes(spread, x_label="layer", y_label="entropy of attention (nat)")
    distance.legend(fontsize=TICK_SIZE, frameon=False, loc="upper left", ncols=3, columnspacing=1.0, handlelength=1.4)
    write_heading(figure, title)
    counts = counted(attention.num_images, "image")
    caption = f"Mean over {counts} and all query patches; weights on patches alone, divided by their sum"
    write_caption(figure, f"{caption}; dotted: even attention")
    return figure


def rollout_figure(attention: ImageAttention, *, title: str) -> Figure:
    """Draws attention rollout from the target patch, and from the class token if there is one.

    There is one column for each image and a last one for the mean over all images, and one scale for each row. The
    figure is two columns of a page wide.

    Args:
      attention: attention of a model on images.
      title: name of the model.

    Raises:
      ValueError: the model's attention is in windows and has no rollout.
    """
    if attention.rollout is None:
        raise ValueError("attention in windows has no rollout")
    rows = {f"from patch\n{attention.token}": attention.rollout}
    if attention.class_rollout is not None:
        rows["from the\nclass token"] = attention.class_rollout
    shown = len(attention.photos)
    height, width = attention.photos.shape[1:3]
    panel = _PANEL_INCHES * min(2.0, max(0.5, height / width))
    figure = blank_figure(TWO_COLUMNS_INCHES, (1 + len(rows)) * (panel + 0.08) + 0.9, layout="compressed")
    cells = figure.subplots(1 + len(rows), shown + 1, squeeze=False)
    for index, photo in enumerate(attention.photos):
        _draw_photo(cells[0, index], photo, attention.token, grid=attention.rollout.shape[1:])
        cells[0, index].set_title(f"image {index}", fontsize=LABEL_SIZE, pad=3)
    cells[0, shown].remove()
    for row, (name, maps) in enumerate(rows.items(), start=1):
        _draw_row(figure, list(cells[row]), maps, name=name)
    for axes in cells[1]:
        _outline(axes, (float(attention.token[0]), float(attention.token[1])), (1.0, 1.0))
    cells[1, shown].set_title(f"mean of {attention.num_images}", fontsize=LABEL_SIZE, pad=3)
    write_heading(figure, title)
    depth = len(attention.layers)
    caption = f"Attention rollout through all layers ({depth}), (mean over heads + identity) / 2"
    write_caption(figure, f"{caption}\nColours: % of the attention per patch, {SQUARE_ROOT}, one for each row")
    return figure


def _draw_heads(axes: Axes, values: list[Float[np.ndarray, "..."]], even: list[float]) -> None:
    """Draws the heads of every layer, their mean, and the value of uniform attention."""
    layers = np.arange(len(values))
    places = np.repeat(layers, [heads.size for heads in values])
    axes.plot(layers, even, color=FAINT, linewidth=0.9, linestyle=":", label="even")
    axes.plot(
        places, np.concatenate(values), color=HEAD_COLOUR, marker="o", markersize=3, linestyle="none", label="head"
    )
    axes.plot(layers, [heads.mean() for heads in values], color=MEAN_COLOUR, linewidth=1.3, marker="_", label="mean")
    axes.set_ylim(0, 1.22 * max(max(even), max(float(heads.max()) for heads in values)))
    axes.set_xlim(-0.5, len(values) - 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(axis="y", color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    hide_box(axes)


def _add_patch_axis(axes: Axes, *, side: int) -> None:
    functions = (lambda pixels: np.divide(pixels, side), lambda count: np.multiply(count, side))
    patches = axes.secondary_yaxis("right", functions=functions)
    patches.set_ylabel("(patches)", fontsize=LABEL_SIZE)
    patches.tick_params(labelsize=TICK_SIZE, width=0.6, length=3)
    patches.spines["right"].set_linewidth(0.6)


def _draw_photo(axes: Axes, photo: np.ndarray, token: Token, *, grid: Grid) -> None:
    axes.imshow(photo, interpolation="nearest")
    top, left, height, width = patch_box(token, grid=grid, image_size=photo.shape[:2])
    _outline(axes, (top, left), (height, width))
    _hide_ticks(axes)


def _draw_row(figure: Figure, cells: list[Axes], maps: Float[np.ndarray, "images height width"], *, name: str) -> None:
    """Draws the maps of the images that are shown, and the mean of all, in percent on one scale.

    The scale starts at the smallest share: through many layers every token depends on every other one.
    """
    shown = 100 * np.concatenate([maps[: len(cells) - 1], maps.mean(axis=0)[None]])
    norm = PowerNorm(DISPLAY_EXPONENT, vmin=float(shown.min()), vmax=float(shown.max()))
    for axes, values in zip(cells, shown, strict=True):
        axes.imshow(values, cmap=COLOURS, norm=norm, interpolation="nearest")
        _hide_ticks(axes)
    cells[0].set_ylabel(name, fontsize=LABEL_SIZE)
    add_shared_colour_bar(figure, ScalarMappable(norm, COLOURS), cells, "%")


def _outline(axes: Axes, corner: tuple[float, float], size: tuple[float, float]) -> None:
    """Outlines cells, given the (row, column) of the first one and their (height, width)."""
    place = (corner[1] - 0.5, corner[0] - 0.5)
    axes.add_patch(Rectangle(place, size[1], size[0], fill=False, edgecolor=PATCH_COLOUR, linewidth=1.0))


def _hide_ticks(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
