"""An animation of a training run: its receptive field and its position biases, on one colour scale."""

import io
import math
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm, to_rgb
from matplotlib.figure import Figure, FigureBase
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from PIL import Image

from gauss_vit.analysis.token import Target, patch_box
from gauss_vit.plots.canvas import (
    FAINT,
    MASS_PER_PIXEL,
    SQUARE_ROOT,
    TICK_SIZE,
    add_colour_bar,
    add_shared_colour_bar,
    blank_figure,
    style_axes,
)
from gauss_vit.plots.erf import COLOURS, DISPLAY_EXPONENT, PATCH_COLOUR
from gauss_vit.plots.position import BIAS_COLOURS, bias_colours

DOTS_PER_INCH = 110
LAST_SECONDS = 2.0
_CLIPPED_PERCENT = 0.5


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What the observers of a run measured at a step.

    Attributes:
      step: number of updates.
      erf: receptive field with sum 1; None if it was not defined.
      tables: position biases in logits, averaged over heads, by layer; None if there are none. Offsets are query minus
        key.
    """

    step: int
    erf: Float[np.ndarray, "height width"] | None
    tables: tuple[Float[np.ndarray, "dy dx"], ...] | None


def movie(
    observations: tuple[Observation, ...], target: Target | None, *, title: str, frames_per_second: float
) -> bytes:
    """Draws a GIF with one frame for each observation; the last one is shown longer.

    Args:
      observations: observations in the order of their steps; at least one.
      target: patch to outline in the receptive field; None if there is no receptive field.
      title: name of the run.
      frames_per_second: up to 50, the most that browsers play.
    """
    frames = [Image.fromarray(pixels) for pixels in draw_frames(observations, target, title=title)]
    palette = _palette()
    indexed = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    shown_ms = max(20, round(1000 / frames_per_second))
    durations = [shown_ms] * (len(frames) - 1) + [max(shown_ms, round(1000 * LAST_SECONDS))]
    file = io.BytesIO()
    indexed[0].save(
        file, format="GIF", save_all=True, append_images=indexed[1:], duration=durations, loop=0, optimize=False
    )
    return file.getvalue()


def draw_frames(
    observations: tuple[Observation, ...], target: Target | None, *, title: str
) -> list[UInt8[np.ndarray, "rows columns 3"]]:
    """Draws every observation on the same axes and the same scales."""
    has_tables = any(each.tables is not None for each in observations)
    num_parts = int(target is not None) + int(has_tables)
    figure = blank_figure(0.6 + 4.3 * num_parts, 4.2)
    cells = figure.add_gridspec(1, num_parts)
    parts = [figure.add_subfigure(cells[0, index]) for index in range(num_parts)]
    field = None if target is None else _Field(parts[0], observations, target)
    tables = _Tables(parts[-1], observations) if has_tables else None
    heading = figure.suptitle(" ", x=0.012, ha="left", fontsize=11, fontweight="bold", parse_math=False)
    drawn = []
    for each in observations:
        heading.set_text(f"{title}, step {each.step:,}")
        if field is not None:
            field.show(each.erf)
        if tables is not None:
            tables.show(each.tables)
        if not drawn:
            # Drawn twice, the layout has converged; later frames keep it, so that nothing moves.
            _pixels(figure)
            _pixels(figure)
            figure.set_layout_engine("none")
        drawn.append(_pixels(figure))
    return drawn


class _Field:
    """The panel of the receptive field."""

    def __init__(self, figure: FigureBase, observations: tuple[Observation, ...], target: Target):
        fields = [each.erf for each in observations if each.erf is not None]
        self._blank = np.full(fields[0].shape, np.nan)
        self._axes = figure.subplots()
        # A few pixels of an early step may be much brighter than all later ones.
        top = float(np.percentile(np.stack(fields), 100 - _CLIPPED_PERCENT)) or float(np.max(fields))
        norm = PowerNorm(DISPLAY_EXPONENT, vmin=0, vmax=100 * top)
        colours = mpl.colormaps[COLOURS].copy()
        # Matplotlib takes the word, but declares a bool.
        colours.colorbar_extend = "max"  # pyrefly: ignore[bad-assignment]
        self._shown = self._axes.imshow(self._blank, cmap=colours, norm=norm, interpolation="nearest")
        top, left, height, width = patch_box(target.token, grid=target.grid, image_size=self._blank.shape)
        box = Rectangle((left - 0.5, top - 0.5), width, height, fill=False, edgecolor=PATCH_COLOUR, linewidth=1.4)
        self._axes.add_patch(box)
        self._axes.set_title("receptive field of the outlined patch", fontsize=TICK_SIZE + 1, loc="left")
        style_axes(self._axes, x_label="column (pixel)", y_label="row (pixel)")
        add_colour_bar(figure, self._shown, self._axes, f"{MASS_PER_PIXEL}, {SQUARE_ROOT}")
        self._absent = _absent(self._axes)

    def show(self, field: Float[np.ndarray, "height width"] | None) -> None:
        self._shown.set_data(self._blank if field is None else 100 * field)
        self._absent.set_visible(field is None)


class _Tables:
    """The panels of the position biases, one for each layer."""

    def __init__(self, figure: FigureBase, observations: tuple[Observation, ...]):
        known = [each.tables for each in observations if each.tables is not None]
        columns = math.ceil(math.sqrt(len(known[0])))
        grid = figure.subplots(math.ceil(len(known[0]) / columns), columns, squeeze=False)
        for axes in grid.flat[len(known[0]) :]:
            axes.remove()
        panels = list(grid.flat[: len(known[0])])
        norm, colours = bias_colours(np.concatenate([table.ravel() for tables in known for table in tables])[None])
        self._blanks = [np.full(table.shape, np.nan) for table in known[0]]
        self._shown = [
            axes.imshow(blank, cmap=colours, norm=norm, interpolation="nearest")
            for axes, blank in zip(panels, self._blanks, strict=True)
        ]
        for layer, axes in enumerate(panels):
            axes.set_axis_off()
            axes.set_title(f"bias, layer {layer}", fontsize=TICK_SIZE, pad=2)
        add_shared_colour_bar(figure, self._shown[0], panels, "logits, by offset: query minus key")

    def show(self, tables: tuple[Float[np.ndarray, "dy dx"], ...] | None) -> None:
        for shown, table in zip(self._shown, self._blanks if tables is None else tables, strict=True):
            shown.set_data(table)


def _absent(axes: Axes) -> Text:
    return axes.text(0.5, 0.5, "not defined", color=FAINT, ha="center", transform=axes.transAxes, visible=False)


def _pixels(figure: Figure) -> UInt8[np.ndarray, "rows columns 3"]:
    """Draws a figure into an array."""
    figure.set_dpi(DOTS_PER_INCH)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def _palette() -> Image.Image:
    """Samples the colour maps and greys, so that all frames have one palette."""
    maps = [mpl.colormaps[name](np.linspace(0, 1, 72), bytes=True)[:, :3] for name in (COLOURS, *BIAS_COLOURS)]
    greys = np.repeat(np.linspace(0, 255, 36).round().astype(np.uint8)[:, None], 3, axis=1)
    outline = (255 * np.array([to_rgb(PATCH_COLOUR)])).round().astype(np.uint8)
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.concatenate([*maps, greys, outline]).tobytes())
    return palette
