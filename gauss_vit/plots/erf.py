"""The figure of an effective receptive field."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, Patch, Rectangle

from gauss_vit.analysis.comparison import patch_sums
from gauss_vit.analysis.erf import ErfMap
from gauss_vit.analysis.gaussian_fit import GaussianFit
from gauss_vit.analysis.token import patch_box
from gauss_vit.plots.canvas import (
    COLUMN_INCHES,
    FAINT,
    LABEL_SIZE,
    TICK_SIZE,
    add_colour_bar,
    blank_figure,
    hide_box,
    style_axes,
    write_caption,
    write_heading,
)

COLOURS = "inferno"
PATCH_COLOUR = "#7fdbff"
FIT_COLOUR = "white"
MAP_INCHES = 2.45
PROFILE_INCHES = 1.15
# Shows the neighbours of a target patch that is much brighter than they are; the colour bar has the same scale.
DISPLAY_EXPONENT = 0.5


def erf_figure(erf: ErfMap, fit: GaussianFit, *, title: str) -> Figure:
    """Draws a receptive field with the target patch, the fitted Gaussian at one sigma, and profiles along both axes.

    The figure is one column of a page wide.

    Args:
      erf: the map.
      fit: Gaussian fitted to it, in pixels.
      title: name of the model.
    """
    height, width = erf.values.shape
    map_height = MAP_INCHES * min(2.0, max(0.5, height / width))
    figure = blank_figure(COLUMN_INCHES, map_height + PROFILE_INCHES + 0.9)
    cells = figure.subplot_mosaic(
        [["map", "map"], ["row", "column"]], height_ratios=(map_height + 0.3, PROFILE_INCHES), sharey=False
    )
    _draw_map(figure, cells["map"], erf, fit)
    row, column = _profiles(erf.values)
    top, left, patch_height, patch_width = patch_box(erf.token, grid=erf.grid, image_size=(height, width))
    _draw_profile(cells["row"], row, (left, patch_width), label="column (pixel)")
    _draw_profile(cells["column"], column, (top, patch_height), label="row (pixel)")
    cells["row"].set_ylabel("share (% per pixel)", fontsize=LABEL_SIZE)
    highest = max(cells[name].get_ylim()[1] for name in ("row", "column"))
    for name in ("row", "column"):
        cells[name].set_ylim(0, highest)
    cells["column"].legend(fontsize=TICK_SIZE, frameon=False, loc="upper right", handlelength=1.4)
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
    style_axes(axes, x_label="column of the target token", y_label="row of the target token")
    add_colour_bar(figure, mapped, axes, "share per patch (%), square-root scale")
    write_heading(figure, title)
    counts = f"{len(maps)} tokens of {rows} x {columns}, {maps[0].num_images} images, {maps[0].protocol.name}"
    write_caption(figure, f"Fields summed over patches, one cell a token; {counts}")
    return figure


def _draw_map(figure: Figure, axes: Axes, erf: ErfMap, fit: GaussianFit) -> None:
    per_million = erf.values * 1e6
    norm = PowerNorm(DISPLAY_EXPONENT, vmin=0, vmax=float(per_million.max()))
    mapped = axes.imshow(per_million, cmap=COLOURS, norm=norm, interpolation="nearest")
    top, left, height, width = patch_box(erf.token, grid=erf.grid, image_size=erf.values.shape)
    axes.add_patch(Rectangle((left - 0.5, top - 0.5), width, height, fill=False, edgecolor=PATCH_COLOUR, linewidth=1.2))
    handles: list[Patch] = [Rectangle((0, 0), 1, 1, fill=False, edgecolor=PATCH_COLOUR, label="target patch")]
    if fit.converged:
        handles.append(axes.add_patch(_ellipse(fit)))
    axes.set_xlim(-0.5, erf.values.shape[1] - 0.5)
    axes.set_ylim(erf.values.shape[0] - 0.5, -0.5)
    legend = axes.legend(
        handles=handles, loc="lower right", fontsize=TICK_SIZE, framealpha=0.55, facecolor="black", labelcolor="white"
    )
    legend.get_frame().set_linewidth(0)
    style_axes(axes, x_label="column (pixel)", y_label="row (pixel)")
    add_colour_bar(figure, mapped, axes, "share per pixel (10⁻⁶), square-root scale")


def _ellipse(fit: GaussianFit) -> Ellipse:
    return Ellipse(
        (fit.center_x, fit.center_y),
        width=2 * fit.sigma_x,
        height=2 * fit.sigma_y,
        fill=False,
        edgecolor=FIT_COLOUR,
        linestyle=(0, (4, 2)),
        linewidth=1.2,
        label="fit, 1 sigma",
    )


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
    """Writes the measurement and the fit, each on one line."""
    measured = f"token {erf.token} of {erf.grid[0]} x {erf.grid[1]}, {erf.num_images} images, {erf.protocol.name}"
    if not fit.converged:
        return f"{measured}\nThe Gaussian fit did not converge"
    sigmas = f"sigma x {fit.sigma_x:.2f}, y {fit.sigma_y:.2f} px"
    return f"{measured}\nGaussian fit: {sigmas}, R² {fit.r_squared:.3f}"
