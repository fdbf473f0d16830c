"""The figure of several photos side by side with the areas that the data name, above those that a model finds."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from gauss_vit.plots.boxes import draw_boxes
from gauss_vit.plots.canvas import LABEL_SIZE, TICK_SIZE, TWO_COLUMNS_INCHES, blank_figure, write_heading
from gauss_vit.plots.overlay import tinted
from gauss_vit.tasks.label_map import LabelMap

_LEGEND_COLUMNS, _MOST_LISTED = 5, 10


@dataclass(frozen=True, kw_only=True)
class LabelledPhoto:
    """A photo with areas.

    Attributes:
      pixels: the photo.
      predicted: areas that a model finds.
      labelled: areas that the data name; None if they name none.
    """

    pixels: UInt8[np.ndarray, "height width 3"]
    predicted: LabelMap
    labelled: LabelMap | None


def overlay_rows_figure(photos: Sequence[LabelledPhoto], *, title: str) -> Figure:
    """Draws a column for each photo: what the data name above what the model finds, with one legend for all.

    The legend lists the labels with the largest areas. The figure is two columns of a page wide.

    Args:
      photos: photos of one size.
      title: name of the model.
    """
    rows = {"labelled": [photo.labelled for photo in photos], "predicted": [photo.predicted for photo in photos]}
    shown = {name: maps for name, maps in rows.items() if any(label_map is not None for label_map in maps)}
    height, width = photos[0].pixels.shape[:2]
    panel = TWO_COLUMNS_INCHES / len(photos) * min(2.0, height / width)
    figure = blank_figure(TWO_COLUMNS_INCHES, len(shown) * (panel + 0.06) + 0.75, layout="compressed")
    cells = figure.subplots(len(shown), len(photos), squeeze=False)
    for row, (name, maps) in zip(cells, shown.items(), strict=True):
        row[0].set_ylabel(name, fontsize=LABEL_SIZE)
        for axes, photo, label_map in zip(row, photos, maps, strict=True):
            _draw(axes, photo.pixels if label_map is None else tinted(photo.pixels, label_map))
            if label_map is not None:
                draw_boxes(axes, label_map.boxes, inches_per_pixel=panel / width, has_captions=False)
    keys = _keys([label_map for maps in shown.values() for label_map in maps if label_map is not None])
    figure.legend(
        handles=keys,
        loc="outside lower left",
        frameon=False,
        fontsize=TICK_SIZE,
        ncols=_LEGEND_COLUMNS,
        handlelength=1.2,
    )
    write_heading(figure, title)
    return figure


def _draw(axes: Axes, picture: UInt8[np.ndarray, "height width 3"]) -> None:
    axes.imshow(picture, interpolation="antialiased")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _keys(label_maps: Sequence[LabelMap]) -> list[Patch]:
    """Returns entries of the legend for the labels with the largest areas of all maps."""
    areas: Counter[tuple[str, tuple[int, int, int]]] = Counter()
    for label_map in label_maps:
        shares = label_map.shares()
        for index in label_map.by_share():
            label = label_map.labels[index]
            areas[label.short_name, label.colour] += shares[index]
    return [
        Patch(facecolor=f"#{bytes(colour).hex()}", edgecolor="0.25", linewidth=0.5, label=name)
        for (name, colour), _ in areas.most_common(_MOST_LISTED)
    ]
