"""The figure that compares receptive fields: maps on one scale, differences, radial profiles."""

import math
import re
import textwrap
from dataclasses import dataclass

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
    SQUARE_ROOT,
    TICK_SIZE,
    TWO_COLUMNS_INCHES,
    add_legend_above,
    add_shared_colour_bar,
    blank_figure,
    hide_box,
    style_axes,
    write_caption,
    write_row_heading,
)
from gauss_vit.plots.erf import COLOURS, DISPLAY_EXPONENT, PATCH_COLOUR
from gauss_vit.quantities import counted

LINE_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#999999")
DIFFERENCE_COLOURS = "RdBu_r"
LINE_STYLES = ("-", "--", ":", "-.")
MAX_FIELDS = len(LINE_COLOURS)
LETTERS = "abcdefgh"
_COLUMNS = 4
_LARGEST_PANEL, _BAR_INCHES, _GAP_INCHES = 2.0, 0.8, 0.3
_TITLE_INCHES, _CHANGE_INCHES, _HEADING_INCHES, _PROFILE_INCHES = 0.5, 0.55, 0.25, 2.1
_ROW_LETTERS = 88
_CAPTION_LETTERS = 105
_EQUAL_PERCENT = 0.01


def line_look(index: int) -> tuple[str, str]:
    """Returns colour and style of the line of an index; 32 lines look different."""
    repeated, place = divmod(index, len(LINE_COLOURS))
    return LINE_COLOURS[place], LINE_STYLES[repeated % len(LINE_STYLES)]


def comparison_figure(fields: tuple[MeasuredField, ...]) -> Figure:
    """Draws two to eight receptive fields: maps, differences from the first, and radial profiles.

    All maps share one colour scale, all differences another that is symmetric about zero. The figure is two columns of
    a page wide.

    Raises:
      ConfigError: the maps differ in size.
    """
    shown, changed = _row_shape(len(fields)), _row_shape(len(fields) - 1)
    proportion = min(2.0, fields[0].values.shape[0] / fields[0].values.shape[1])
    map_height = shown.num_rows * (shown.panel_inches * proportion + _TITLE_INCHES) + _HEADING_INCHES
    change_height = changed.num_rows * (changed.panel_inches * proportion + _CHANGE_INCHES) + _HEADING_INCHES
    is_pair = len(fields) == 2
    heights = (map_height, max(change_height, _PROFILE_INCHES) if is_pair else change_height)
    figure = blank_figure(TWO_COLUMNS_INCHES, sum(heights) + (0 if is_pair else _PROFILE_INCHES) + 0.25)
    places = GridSpec(
        2 if is_pair else 3, 1, figure=figure, height_ratios=heights if is_pair else (*heights, _PROFILE_INCHES)
    )
    _draw_maps(figure.add_subfigure(places[0, 0]), fields, columns=shown.columns)
    if is_pair:
        profile, change = figure.add_subfigure(places[1, 0]).subfigures(1, 2, squeeze=False)[0]
    else:
        change, profile = (figure.add_subfigure(places[row, 0]) for row in (1, 2))
    _draw_changes(change, fields, columns=changed.columns)
    _draw_profiles(profile.subplots(), fields)
    write_caption(figure, _caption(fields))
    return figure


@dataclass(frozen=True, kw_only=True)
class _RowShape:
    """How panels of equal width fill rows.

    Attributes:
      columns: number of panels in a row.
      num_rows: number of rows.
      panel_inches: width of a panel.
    """

    columns: int
    num_rows: int
    panel_inches: float


def _row_shape(num_panels: int) -> _RowShape:
    columns = min(_COLUMNS, num_panels)
    room = (TWO_COLUMNS_INCHES - _BAR_INCHES) / columns - _GAP_INCHES
    return _RowShape(columns=columns, num_rows=-(-num_panels // columns), panel_inches=min(_LARGEST_PANEL, room))


def _draw_maps(figure: FigureBase, fields: tuple[MeasuredField, ...], *, columns: int) -> None:
    norm = PowerNorm(DISPLAY_EXPONENT, vmin=0, vmax=max(float(field.values.max()) for field in fields) * 100)
    cells = _cells(figure, len(fields), columns)
    for axes, field, letter in zip(cells, fields, LETTERS, strict=False):
        mapped = axes.imshow(100 * field.values, cmap=COLOURS, norm=norm, interpolation="nearest")
        _outline(axes, field, colour=PATCH_COLOUR)
        _finish(axes, _wrapped(f"({letter}) {field.title}", num_letters=_ROW_LETTERS // columns))
    add_shared_colour_bar(figure, mapped, cells, "%")
    write_row_heading(figure, f"Receptive fields: % of the mass per pixel, {SQUARE_ROOT}")


def _draw_changes(figure: FigureBase, fields: tuple[MeasuredField, ...], *, columns: int) -> None:
    """Draws the difference of every other field from the first.

    Differences are summed over patches: single pixels of gradients are too noisy to compare.
    """
    changes = [difference(field, fields[0]) for field in fields[1:]]
    limit = _rounded_up(max(float(np.abs(change.by_patch).max()) for change in changes) * 100)
    cells = _cells(figure, len(changes), columns)
    height, width = fields[0].values.shape
    for axes, change, letter in zip(cells, changes, LETTERS[1:], strict=False):
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
    bar = add_shared_colour_bar(figure, mapped, cells, "%")
    write_row_heading(figure, "Differences: % of the mass per patch, logarithmic scale")
    _tick_symmetrically(bar, limit)


def _rounded_up(limit: float) -> float:
    """Rounds up to one digit; below a hundredth of a per cent, fields are taken as equal and the limit becomes 1."""
    unit = 10.0 ** math.floor(math.log10(limit)) if limit > _EQUAL_PERCENT else 1.0
    return unit * max(1, math.ceil(limit / unit))


def _tick_symmetrically(bar: Colorbar, limit: float) -> None:
    """Labels both ends, zero and the middle of both halves."""
    ticks = [sign * limit * part for sign in (-1, 1) for part in (1, 0.2)] + [0.0]
    bar.set_ticks(sorted(ticks), labels=[f"{tick:.2g}".replace("-", "\u2212") for tick in sorted(ticks)])
    bar.minorticks_off()


def _draw_profiles(axes: Axes, fields: tuple[MeasuredField, ...]) -> None:
    """Draws the mass within a radius, with its band if there is one, and that of a uniform field for reference."""
    for field, colour, letter in zip(fields, LINE_COLOURS, LETTERS, strict=False):
        if field.radial_band is not None:
            low, high = 100 * field.radial_band
            axes.fill_between(field.radii_px, low, high, color=colour, alpha=0.25, linewidth=0)
        axes.plot(field.radii_px, 100 * field.radial_mass, color=colour, linewidth=1.1, label=f"({letter})")
    first = fields[0]
    axes.plot(first.radii_px, _uniform(first), color=FAINT, linewidth=0.9, linestyle=":", label="uniform")
    axes.set_xlim(0, max(field.radii_px[-1] for field in fields))
    axes.set_ylim(0, 100)
    hide_box(axes)
    style_axes(axes, x_label="radius from the target patch (pixel)", y_label="% of the mass within")
    add_legend_above(axes, axes.lines, columns=len(axes.lines))


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
    # A tick beyond the image would widen the axes.
    axes.set_xticks([0, round(last_x - 0.5)])
    axes.set_yticks([0, round(last_y - 0.5)])


def _caption(fields: tuple[MeasuredField, ...]) -> str:
    """Writes protocol, number of images and, if they differ, patches: once if equal for all fields, else for each."""
    patches = [f", patch {field.token[0]},{field.token[1]} of {field.grid[0]} x {field.grid[1]}" for field in fields]
    words = [f"{field.protocol}, {counted(field.num_images, 'image')}" for field in fields]
    if len(set(patches)) > 1:
        words = [word + patch for word, patch in zip(words, patches, strict=True)]
    if len(set(words)) == 1:
        return f"Axes in pixels; {words[0]}"
    lettered = [f"({letter}) {word}" for letter, word in zip(LETTERS, words, strict=False)]
    return textwrap.fill(f"Axes in pixels; {'; '.join(lettered)}", width=_CAPTION_LETTERS)
