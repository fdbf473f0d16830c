"""The figure that compares receptive fields: maps on one scale, differences, radial profiles."""

import math
import re
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.colors import PowerNorm, SymLogNorm
from matplotlib.figure import Figure, FigureBase
from matplotlib.gridspec import GridSpec
from matplotlib.patches import Rectangle

from gauss_vit.analysis.comparison import MeasuredField, difference
from gauss_vit.analysis.summary import radial_mass
from gauss_vit.analysis.token import patch_box, patch_center
from gauss_vit.plots.canvas import (
    FAINT,
    LABEL_SIZE,
    TICK_SIZE,
    TWO_COLUMNS_INCHES,
    add_shared_colour_bar,
    blank_figure,
    hide_box,
    style_axes,
    write_caption,
)
from gauss_vit.plots.erf import COLOURS, DISPLAY_EXPONENT, PATCH_COLOUR

LINE_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#999999")
DIFFERENCE_COLOURS = "RdBu_r"
MAX_FIELDS = len(LINE_COLOURS)
LETTERS = "abcdefgh"
_COLUMNS = 4
_LARGEST_PANEL, _BAR_INCHES, _GAP_INCHES = 2.0, 0.8, 0.3
_TITLE_INCHES, _CHANGE_INCHES, _PROFILE_INCHES = 0.65, 0.6, 2.0
_ROW_LETTERS = 88


def comparison_figure(fields: tuple[MeasuredField, ...]) -> Figure:
    """Draws two to eight receptive fields: maps, differences from the first, and radial profiles.

    All maps share one colour scale, all differences another that is symmetric about zero. The figure is two columns of
    a page wide.

    Raises:
      ConfigError: the maps differ in size.
    """
    height, width = fields[0].values.shape
    columns = min(_COLUMNS, len(fields))
    num_rows = -(-len(fields) // columns)
    panel = min(_LARGEST_PANEL, (TWO_COLUMNS_INCHES - _BAR_INCHES) / columns - _GAP_INCHES) * min(2.0, height / width)
    map_height, change_height = num_rows * (panel + _TITLE_INCHES), num_rows * (panel + _CHANGE_INCHES)
    has_room = len(fields) == 2
    heights = (map_height, change_height) if has_room else (map_height, change_height, _PROFILE_INCHES)
    figure = blank_figure(TWO_COLUMNS_INCHES, sum(heights) + 0.25)
    places = GridSpec(len(heights), 1, figure=figure, height_ratios=heights)
    maps, changes, *profiles = (figure.add_subfigure(places[row, 0]) for row in range(len(heights)))
    _draw_maps(maps, fields, columns=columns)
    free = _draw_changes(changes, fields, columns=columns)
    if not has_room:
        free.set_visible(False)
    _draw_profiles(free if has_room else profiles[0].subplots(), fields)
    write_caption(figure, _caption(fields))
    return figure


def _draw_maps(figure: FigureBase, fields: tuple[MeasuredField, ...], *, columns: int) -> None:
    norm = PowerNorm(DISPLAY_EXPONENT, vmin=0, vmax=max(float(field.values.max()) for field in fields) * 1e6)
    cells = _cells(figure, len(fields), columns)
    for axes, field, letter in zip(cells, fields, LETTERS, strict=False):
        mapped = axes.imshow(field.values * 1e6, cmap=COLOURS, norm=norm, interpolation="nearest")
        _outline(axes, field, colour=PATCH_COLOUR)
        _finish(axes, _wrapped(f"({letter}) {field.title}", num_letters=_ROW_LETTERS // columns))
    add_shared_colour_bar(figure, mapped, cells, "share per pixel (10⁻⁶)\nsquare-root scale")


def _draw_changes(figure: FigureBase, fields: tuple[MeasuredField, ...], *, columns: int) -> Axes:
    """Draws each difference below its map, and returns the axes below the first map, which has none.

    Differences are summed over patches: single pixels of gradients are too noisy to compare.
    """
    changes = [difference(field, fields[0]) for field in fields]
    limit = _rounded_up(max(float(np.abs(change.by_patch).max()) for change in changes) * 100)
    cells = _cells(figure, len(fields), columns)
    height, width = fields[0].values.shape
    for axes, change, letter in list(zip(cells, changes, LETTERS, strict=False))[1:]:
        mapped = axes.imshow(
            100 * change.by_patch,
            cmap=DIFFERENCE_COLOURS,
            norm=SymLogNorm(limit / 20, vmin=-limit, vmax=limit),
            extent=(-0.5, width - 0.5, height - 0.5, -0.5),
            interpolation="nearest",
        )
        _outline(axes, fields[0], colour="0.3")
        _finish(axes, f"({letter}) \u2212 (a)")
        axes.set_xlabel(f"{100 * change.moved_mass:.1f} % of the mass moved", fontsize=TICK_SIZE)
    bar = add_shared_colour_bar(figure, mapped, cells, "difference per patch\n(% of the mass)")
    _tick_symmetrically(bar, limit)
    return cells[0]


def _rounded_up(limit: float) -> float:
    """Rounds up to one digit; a limit of 0, of equal fields, becomes 1."""
    unit = 10.0 ** math.floor(math.log10(limit)) if limit > 0 else 1.0
    return unit * max(1, math.ceil(limit / unit))


def _tick_symmetrically(bar: Colorbar, limit: float) -> None:
    """Labels both ends, zero and the middle of both halves of the logarithmic part."""
    ticks = [sign * limit * part for sign in (-1, 1) for part in (1, 0.2, 0.05)] + [0.0]
    bar.set_ticks(sorted(ticks), labels=[f"{tick:.2g}".replace("-", "\u2212") for tick in sorted(ticks)])
    bar.minorticks_off()


def _draw_profiles(axes: Axes, fields: tuple[MeasuredField, ...]) -> None:
    """Draws the mass within a radius, with its band if there is one, and that of a uniform field for reference."""
    for field, colour, letter in zip(fields, LINE_COLOURS, LETTERS, strict=False):
        if field.radial_band is not None:
            low, high = 100 * field.radial_band
            axes.fill_between(field.radii_px, low, high, color=colour, alpha=0.25, linewidth=0)
        axes.plot(
            field.radii_px, 100 * field.radial_mass, color=colour, linewidth=1.1, label=f"({letter}) {field.title}"
        )
    first = fields[0]
    axes.plot(first.radii_px, _uniform(first), color=FAINT, linewidth=0.9, linestyle=":", label="uniform")
    axes.set_xlim(0, max(field.radii_px[-1] for field in fields))
    axes.set_ylim(0, 100)
    hide_box(axes)
    style_axes(axes, x_label="radius from the target patch (pixel)", y_label="mass within (%)")
    axes.legend(fontsize=TICK_SIZE, frameon=False, loc="lower right", handlelength=1.4)


def _uniform(field: MeasuredField) -> Float[np.ndarray, " radii"]:
    """Computes the radial profile of a uniform field, in percent."""
    center = patch_center(field.token, grid=field.grid, image_size=field.values.shape)
    return 100 * radial_mass(np.ones_like(field.values), center, radii_px=field.radii_px)


def _cells(figure: FigureBase, count: int, columns: int) -> list[Axes]:
    """Returns a grid of axes without the unused ones."""
    cells = list(figure.subplots(-(-count // columns), columns, squeeze=False).ravel())
    for unused in cells[count:]:
        unused.remove()
    return cells[:count]


def _outline(axes: Axes, field: MeasuredField, *, colour: str) -> None:
    top, left, height, width = patch_box(field.token, grid=field.grid, image_size=field.values.shape)
    axes.add_patch(Rectangle((left - 0.5, top - 0.5), width, height, fill=False, edgecolor=colour, linewidth=0.9))


def _wrapped(title: str, *, num_letters: int) -> str:
    """Breaks a title into lines that fit a panel, after punctuation or a space."""
    lines = [""]
    for part in re.findall(r"[^_.\s-]*[_.\s-]?", title):
        if lines[-1] and len(lines[-1]) + len(part) > num_letters:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _finish(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=LABEL_SIZE, parse_math=False)
    style_axes(axes, x_label="", y_label="")
    last_y, last_x = (side for side in axes.images[0].get_extent()[2:0:-1])
    axes.set_xticks([0, round(last_x + 0.5)])
    axes.set_yticks([0, round(last_y + 0.5)])


def _caption(fields: tuple[MeasuredField, ...]) -> str:
    """Writes protocol and number of images once if they are equal for all fields, else for each."""
    words = [f"{field.protocol}, {field.num_images} images" for field in fields]
    is_equal = all(one == other for one, other in pairwise(words))
    return f"Axes in pixels; {words[0] if is_equal else '; '.join(words)}"
