"""The figure of an effective receptive field."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Ellipse, Patch, Rectangle

from gauss_vit.analysis.comparison import patch_sums
from gauss_vit.analysis.erf import ErfMap
from gauss_vit.analysis.gaussian_fit import GaussianFit
from gauss_vit.analysis.summary import half_mass_radius
from gauss_vit.analysis.token import patch_box, patch_center
from gauss_vit.plots.canvas import (
    COLUMN_INCHES,
    FAINT,
    LABEL_SIZE,
    MASS_PER_PATCH,
    MASS_PER_PIXEL,
    SQUARE_ROOT,
    add_colour_bar,
    add_legend_above,
    blank_figure,
    hide_box,
    style_axes,
    write_caption,
    write_heading,
)
from gauss_vit.quantities import counted

COLOURS = "inferno"
PATCH_COLOUR = "#7fdbff"
RADIUS_COLOUR, FIT_COLOUR = "#c4c4c4", "#9bf59b"
_DARK = "#2b0b45"
MAP_INCHES = 2.45
PROFILE_INCHES = 1.15
# Shows the neighbours of a target patch that is much brighter than they are; the colour bar has the same scale.
DISPLAY_EXPONENT = 0.5


def erf_figure(erf: ErfMap, fit: GaussianFit, *, title: str) -> Figure:
    """Draws a receptive field with the target patch, the circle that holds half of the mass, and both profiles.

    The fitted Gaussian is drawn at one sigma where it means something. The figure is one column of a page wide.

    Args:
      erf: the map.
      fit: Gaussian fitted to it, in pixels.
      title: name of the model.
    """
    height, width = erf.values.shape
    map_height = MAP_INCHES * min(2.0, max(0.5, height / width))
    figure = blank_figure(COLUMN_INCHES, map_height + PROFILE_INCHES + 1.3)
    cells = figure.subplot_mosaic(
        [["map", "map"], ["row", "column"]], height_ratios=(map_height + 0.3, PROFILE_INCHES), sharey=False
    )
    _draw_map(figure, cells["map"], erf, fit)
    row, column = _profiles(erf.values)
    top, left, patch_height, patch_width = patch_box(erf.token, grid=erf.grid, image_size=(height, width))
    _draw_profile(cells["row"], row, (left, patch_width), label="column (pixel)")
    _draw_profile(cells["column"], column, (top, patch_height), label="row (pixel)")
    cells["row"].set_ylabel("% of the mass", fontsize=LABEL_SIZE)
    highest = max(cells[name].get_ylim()[1] for name in ("row", "column"))
    for name in ("row", "column"):
        cells[name].set_ylim(0, highest)
    add_legend_above(cells["row"], cells["row"].lines[1:], columns=1)
    write_heading(figure, title)
    write_caption(figure, _caption(erf, fit))
    return figure


def mosaic_figure(maps: tuple[ErfMap, ...], *, title: str) -> Figure:
    """Draws the receptive fields of many tokens, each summed over patches, at the position of its token in the grid.

    Args:
      maps: maps of one model and protocol; tokens without a map stay empty.
      title: name of the model.
    """
    rows, columns = maps[0].grid
    mosaic = np.full((rows, columns, rows, columns), np.nan)
    for erf in maps:
        mosaic[erf.token] = 100 * patch_sums(erf.values, erf.grid)
    image = mosaic.transpose(0, 2, 1, 3).reshape(rows * rows, columns * columns)
    proportion = min(2.0, max(0.5, (rows / columns) ** 2))
    figure = blank_figure(6.4, 5.4 * proportion + 1.0)
    axes = figure.subplots()
    norm = PowerNorm(DISPLAY_EXPONENT, vmin=0, vmax=float(np.nanmax(image)))
    extent = (-0.5, columns - 0.5, rows - 0.5, -0.5)
    mapped = axes.imshow(image, cmap=COLOURS, norm=norm, extent=extent, aspect=rows / columns, interpolation="nearest")
    axes.set_xticks(np.arange(0.5, columns - 1), minor=True)
    axes.set_yticks(np.arange(0.5, rows - 1), minor=True)
    axes.grid(which="minor", color="white", linewidth=0.6)
    axes.tick_params(which="minor", length=0)
    style_axes(axes, x_label="column of the target patch", y_label="row of the target patch")
    add_colour_bar(figure, mapped, axes, f"{MASS_PER_PATCH}, {SQUARE_ROOT}")
    write_heading(figure, title)
    counts = (
        f"{len(maps)} of {rows} x {columns} patches, {counted(maps[0].num_images, 'image')}, {maps[0].protocol.name}"
    )
    write_caption(figure, f"One receptive field for each target patch, at its place; {counts}")
    return figure


def _draw_map(figure: Figure, axes: Axes, erf: ErfMap, fit: GaussianFit) -> None:
    percent = 100 * erf.values
    norm = PowerNorm(DISPLAY_EXPONENT, vmin=0, vmax=float(percent.max()))
    mapped = axes.imshow(percent, cmap=COLOURS, norm=norm, interpolation="nearest")
    _add_outlines(axes, erf, fit)
    axes.set_xlim(-0.5, erf.values.shape[1] - 0.5)
    axes.set_ylim(erf.values.shape[0] - 0.5, -0.5)
    add_legend_above(axes, [_key(outline) for outline in axes.patches], columns=3)
    style_axes(axes, x_label="column (pixel)", y_label="row (pixel)")
    add_colour_bar(figure, mapped, axes, f"{MASS_PER_PIXEL}, {SQUARE_ROOT}")


def _add_outlines(axes: Axes, erf: ErfMap, fit: GaussianFit) -> None:
    """Outlines the target patch, half of the mass and, where it means something, the fitted Gaussian."""
    top, left, height, width = patch_box(erf.token, grid=erf.grid, image_size=erf.values.shape)
    row, column = patch_center(erf.token, grid=erf.grid, image_size=erf.values.shape)
    radius = half_mass_radius(erf.values, (row, column))
    outlines: list[Patch] = [
        Rectangle((left - 0.5, top - 0.5), width, height, edgecolor=PATCH_COLOUR, label="target patch"),
        Circle((column, row), radius, edgecolor=RADIUS_COLOUR, label="half of the mass"),
    ]
    if not fit.objection:
        ellipse = Ellipse((fit.center_x, fit.center_y), 2 * fit.sigma_x, 2 * fit.sigma_y, edgecolor=FIT_COLOUR)
        ellipse.set(linestyle=(0, (3, 1.5)), label="Gaussian fit")
        outlines.append(ellipse)
    for outline in outlines:
        outline.set(fill=False, linewidth=1.2)
        axes.add_patch(outline)


def _key(outline: Patch) -> Patch:
    """Returns the legend's entry for a line that is drawn on a dark map, on a dark ground as well."""
    key = Patch(facecolor=_DARK, label=outline.get_label())
    key.set(edgecolor=outline.get_edgecolor(), linestyle=outline.get_linestyle(), linewidth=outline.get_linewidth())
    return key


def _profiles(
    values: Float[np.ndarray, "height width"],
) -> tuple[Float[np.ndarray, " width"], Float[np.ndarray, " height"]]:
    """Sums the map over rows and over columns, in percent."""
    return 100 * values.sum(axis=0), 100 * values.sum(axis=1)


def _draw_profile(
    axes: Axes, profile: Float[np.ndarray, " pixels"], target: tuple[float, float], *, label: str
) -> None:
    """Draws one profile with the span (start, length) of the target patch behind it."""
    axes.axvspan(target[0] - 0.5, target[0] + target[1] - 0.5, color=PATCH_COLOUR, alpha=0.45, linewidth=0)
    axes.plot(profile, color="0.15", linewidth=0.9)
    axes.set_xlim(-0.5, profile.size - 0.5)
    axes.set_ylim(0, None)
    axes.axhline(100 / profile.size, color=FAINT, linewidth=0.9, linestyle=":", label="uniform")
    hide_box(axes)
    style_axes(axes, x_label=label, y_label="")


def _caption(erf: ErfMap, fit: GaussianFit) -> str:
    """Writes the measurement, the half-mass radius and the fit, each on one line."""
    center = patch_center(erf.token, grid=erf.grid, image_size=erf.values.shape)
    images = counted(erf.num_images, "image")
    measured = f"Patch {erf.token} of {erf.grid[0]} x {erf.grid[1]}, {images}, {erf.protocol.name}"
    radius = f"Half of the mass within {half_mass_radius(erf.values, center):.1f} px of the patch's centre"
    fitted = f"sigma x {fit.sigma_x:.2f}, y {fit.sigma_y:.2f} px, R² {fit.r_squared:.3f}"
    if fit.objection:
        fitted = f"not used, {fit.objection}".replace("R2", "R²")
    return f"{measured}\n{radius}\nGaussian fit: {fitted}"
