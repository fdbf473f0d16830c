"""The figure of a label map over its photo: tinted areas, with a legend by share, or boxes, with one by number."""

import dataclasses
from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from gauss_vit.batches import IGNORED
from gauss_vit.metrics.percent import percent
from gauss_vit.palette import Color
from gauss_vit.plots.boxes import draw_boxes
from gauss_vit.plots.canvas import FAINT, LABEL_SIZE, TICK_SIZE, TWO_COLUMNS_INCHES, blank_figure
from gauss_vit.tasks.label_map import LabelledBox, LabelMap

NUM_LISTED = 10
_TINT = 0.5
_LINE_SHARE = 1 / 450
"""Width of the lines around areas, as a share of the longer side of the image."""
_LEGEND_INCHES, _ROW_INCHES, _GAP_INCHES = 2.0, 0.19, 0.12
# Area is measured on a coarser map, whose sides are at most this long, so that its centre is found in no time.
_COARSE = 96
_LETTER_INCHES = 0.62 * TICK_SIZE / 72


@dataclasses.dataclass(frozen=True, kw_only=True)
class Site:
    """The place in an area that is farthest from its border.

    Attributes:
      row: from the top, in pixels.
      column: from the left, in pixels.
      depth: distance to the border, in pixels, along rows and columns.
    """

    row: float
    column: float
    depth: float


def overlay_figure(photo: UInt8[np.ndarray, "height width 3"], label_map: LabelMap) -> Figure:
    """Draws the areas of an image's labels over it, tinted and outlined, with the largest listed beside it.

    The image's longer side takes two columns of a page. Names stand in the areas that have room for them. Of objects
    the boxes are drawn as well, with captions, and the legend counts them by name.

    Args:
      photo: the image.
      label_map: labels of its pixels.
    """
    height, width = photo.shape[:2]
    scale = TWO_COLUMNS_INCHES / max(height, width)
    rows = _counted(label_map.boxes) if label_map.boxes else _measured(label_map)
    legend_height = _ROW_INCHES * (len(rows) + 0.5)
    size = width * scale + _GAP_INCHES + _LEGEND_INCHES, max(height * scale, legend_height)
    figure = blank_figure(*size, layout=None)
    picture = figure.add_axes((0, 1 - height * scale / size[1], width * scale / size[0], height * scale / size[1]))
    picture.imshow(tinted(photo, label_map), interpolation="antialiased")
    picture.set_axis_off()
    if label_map.boxes:
        draw_boxes(picture, label_map.boxes, inches_per_pixel=scale, has_captions=True)
    else:
        _write_names(picture, label_map, inches_per_pixel=scale)
    legend = figure.add_axes((1 - _LEGEND_INCHES / size[0], 0, _LEGEND_INCHES / size[0], 1))
    legend.set(xlim=(0, _LEGEND_INCHES), ylim=(size[1], 0))
    legend.set_axis_off()
    _write_legend(legend, rows)
    return figure


def tinted(photo: UInt8[np.ndarray, "height width 3"], label_map: LabelMap) -> UInt8[np.ndarray, "height width 3"]:
    """Mixes every labelled pixel with the colour of its label; the border of an area has the colour alone."""
    colours = np.zeros((256, 3), np.float32)
    for index, label in enumerate(label_map.labels):
        colours[index] = label.colour
    opacity = np.full(256, _TINT, np.float32)
    opacity[IGNORED] = 0
    share = np.where(_borders(label_map.values), np.sign(opacity[label_map.values]), opacity[label_map.values])
    mixed = photo + share[..., None] * (colours[label_map.values] - photo)
    return np.rint(mixed).astype(np.uint8)


def site_of(area: Bool[np.ndarray, "height width"]) -> Site | None:
    """Finds the place of an area that is farthest from its border, which an edge of the image is as well.

    Returns:
      None for an area that is too thin to find.
    """
    step = -(-max(area.shape) // _COARSE)
    core, depth = np.pad(area[step // 2 :: step, step // 2 :: step], 1), 0
    while (inside := _eroded(core)).any():
        core, depth = inside, depth + 1
    rows, columns = np.nonzero(core)
    if not rows.size:
        return None
    middle = rows.size // 2
    # The map has a frame of one cell, and its cells are centred in blocks of pixels.
    row, column = (float(step * (places[middle] - 1) + step // 2) for places in (rows, columns))
    return Site(row=row, column=column, depth=step * (depth + 0.5))


def _eroded(area: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
    """Keeps the cells of an area whose four neighbours are in it; its frame is outside."""
    core = np.zeros_like(area)
    core[1:-1, 1:-1] = area[1:-1, 1:-1] & area[:-2, 1:-1] & area[2:, 1:-1] & area[1:-1, :-2] & area[1:-1, 2:]
    return core


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Row:
    """A row of the legend.

    Attributes:
      colour: of its square; None for the others together.
      number: how much there is.
      name: of what.
    """

    colour: Color | None
    number: str
    name: str


def _measured(label_map: LabelMap) -> list[_Row]:
    """Lists the largest labels with their shares, and the others, if there are several, together."""
    found, shares = label_map.by_share(), label_map.shares()
    count = _num_listed(len(found))
    rows = [
        _Row(
            colour=label_map.labels[index].colour,
            number=percent(shares[index]),
            name=label_map.labels[index].short_name,
        )
        for index in found[:count]
    ]
    rest = found[count:]
    return [*rows, *([_others(len(rest), percent(shares[list(rest)].sum()))] if rest else [])]


def _counted(boxes: Sequence[LabelledBox]) -> list[_Row]:
    """Lists the names that most boxes have with their number, and the others, if there are several, together."""
    found = Counter(box.label for box in boxes).most_common()
    count = _num_listed(len(found))
    rows = [_Row(colour=label.colour, number=f"{number}", name=label.short_name) for label, number in found[:count]]
    rest = found[count:]
    return [*rows, *([_others(len(rest), f"{sum(number for _, number in rest)}")] if rest else [])]


def _num_listed(num_found: int) -> int:
    return NUM_LISTED if num_found > NUM_LISTED + 1 else num_found


def _others(count: int, number: str) -> _Row:
    return _Row(colour=None, number=number, name=f"{count} other")


def _borders(values: UInt8[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
    """Marks the pixels within a line's width of a pixel with another label."""
    reach = max(1, round(_LINE_SHARE * max(values.shape)))
    border = np.zeros(values.shape, bool)
    for offset in range(1, reach + 1):
        down, across = values[offset:] != values[:-offset], values[:, offset:] != values[:, :-offset]
        border[offset:] |= down
        border[:-offset] |= down
        border[:, offset:] |= across
        border[:, :-offset] |= across
    return border


def _write_names(axes: Axes, label_map: LabelMap, *, inches_per_pixel: float) -> None:
    found = label_map.by_share()
    for index in found[: _num_listed(len(found))]:
        site, name = site_of(label_map.values == index), label_map.labels[index].short_name
        if site is not None and _LETTER_INCHES * len(name) <= 4 * site.depth * inches_per_pixel:
            text = axes.text(site.column, site.row, name, ha="center", va="center", fontsize=TICK_SIZE, color="white")
            text.set(path_effects=[withStroke(linewidth=2, foreground=(0, 0, 0, 0.75))], clip_on=True)
            text.set_parse_math(False)


def _write_legend(axes: Axes, rows: Sequence[_Row]) -> None:
    for place, row in enumerate(rows):
        top, colour = _ROW_INCHES * (place + 0.25), FAINT if row.colour is None else "0.1"
        if row.colour is not None:
            swatch = f"#{bytes(row.colour).hex()}"
            axes.add_patch(Rectangle((0, top), 0.2, 0.13, facecolor=swatch, edgecolor="0.25", linewidth=0.5))
        style = {"va": "center", "fontsize": LABEL_SIZE, "color": colour, "parse_math": False}
        axes.text(0.75, top + 0.07, row.number, ha="right", **style)
        axes.text(0.83, top + 0.07, row.name, ha="left", **style)
