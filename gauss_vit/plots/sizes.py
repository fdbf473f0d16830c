"""The figure of receptive fields at several image sizes: maps to scale, and how much of the mass is how near."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from gauss_vit.analysis.comparison import MeasuredField
from gauss_vit.analysis.summary import half_mass_radius
from gauss_vit.analysis.token import patch_box, patch_center
from gauss_vit.plots.canvas import (
    LABEL_SIZE,
    TWO_COLUMNS_INCHES,
    add_shared_colour_bar,
    blank_figure,
    hide_box,
    style_axes,
    write_caption,
    write_heading,
)
from gauss_vit.plots.comparison import line_look
from gauss_vit.plots.erf import COLOURS, DISPLAY_EXPONENT, PATCH_COLOUR
from gauss_vit.quantities import counted

_COLUMNS = 3
_CURVES_INCHES = 2.3


def sizes_figure(fields: tuple[MeasuredField, ...], *, title: str) -> Figure:
    """Draws the maps of a model at several image sizes to one scale of pixels, and the mass within a radius.

    Args:
      fields: of one token of the same model, by image size.
      title: name and description of the model.
    """
    columns = min(_COLUMNS, len(fields))
    num_rows = -(-len(fields) // columns)
    reach = max(max(field.values.shape) for field in fields) / 2
    map_inches = num_rows * ((TWO_COLUMNS_INCHES - 0.9) / columns + 0.25)
    figure = blank_figure(TWO_COLUMNS_INCHES, map_inches + _CURVES_INCHES + 0.8)
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=(map_inches, _CURVES_INCHES))[:, 0]
    cells = list(upper.subplots(num_rows, columns, squeeze=False).ravel())
    for unused in cells[len(fields) :]:
        unused.remove()
    norm = PowerNorm(DISPLAY_EXPONENT, vmin=0, vmax=1)
    for index, (axes, field) in enumerate(zip(cells, fields, strict=False)):
        _draw_map(axes, field, norm=norm, reach=reach, is_outer=index % columns == 0)
    add_shared_colour_bar(upper, cells[0].images[0], cells[: len(fields)], "share of the\nlargest value")
    in_pixels, in_shares = lower.subplots(1, 2)
    _draw_curves(in_pixels, fields, unit="pixels")
    _draw_curves(in_shares, fields, unit="share")
    write_heading(figure, title)
    words = f"{fields[0].protocol}, {counted(fields[0].num_images, 'image')}"
    write_caption(figure, f"Maps to one scale of pixels, the target patch outlined, square-root scale; {words}")
    return figure


def _draw_map(axes: Axes, field: MeasuredField, *, norm: PowerNorm, reach: float, is_outer: bool) -> None:
    """Draws a map around the middle of its image, each in units of its own largest value."""
    height, width = field.values.shape
    extent = (-width / 2, width / 2, height / 2, -height / 2)
    axes.imshow(field.values / field.values.max(), cmap=COLOURS, norm=norm, extent=extent, interpolation="nearest")
    top, left, patch_height, patch_width = patch_box(field.token, grid=field.grid, image_size=field.values.shape)
    corner = (left - width / 2, top - height / 2)
    axes.add_patch(Rectangle(corner, patch_width, patch_height, fill=False, edgecolor=PATCH_COLOUR, linewidth=0.9))
    axes.set_xlim(-reach, reach)
    axes.set_ylim(reach, -reach)
    size, grid = f"{height} x {width} px", f"{field.grid[0]} x {field.grid[1]} patches"
    center = patch_center(field.token, grid=field.grid, image_size=field.values.shape)
    half = f"half of the mass within {half_mass_radius(field.values, center):.1f} px"
    axes.set_title(f"{size}, {grid}\n{half}", fontsize=LABEL_SIZE)
    style_axes(axes, x_label="", y_label="pixels from the middle" if is_outer else "")
    axes.tick_params(labelleft=is_outer)


def _draw_curves(axes: Axes, fields: tuple[MeasuredField, ...], *, unit: str) -> None:
    """Draws the share of the mass within a radius, in pixels or as a share of the image's shorter side."""
    for index, field in enumerate(fields):
        colour, style = line_look(index)
        height, width = field.values.shape
        scale = 1.0 if unit == "pixels" else 100 / min(height, width)
        radii: Float[np.ndarray, " radii"] = field.radii_px * scale
        axes.plot(
            radii, 100 * field.radial_mass, color=colour, linestyle=style, linewidth=1.1, label=f"{height} x {width} px"
        )
        if field.radial_band is not None:
            low, high = 100 * field.radial_band
            axes.fill_between(radii, low, high, color=colour, alpha=0.25, linewidth=0)
    axes.axhline(50, color="0.8", linewidth=0.6, zorder=0)
    axes.set_ylim(0, 100)
    axes.set_xlim(0, None)
    hide_box(axes)
    label = "radius (pixels)" if unit == "pixels" else "radius (% of the shorter side)"
    style_axes(axes, x_label=label, y_label="% of the mass within" if unit == "pixels" else "")
    if unit != "pixels":
        axes.legend(fontsize=LABEL_SIZE - 1, frameon=False, loc="lower right")
