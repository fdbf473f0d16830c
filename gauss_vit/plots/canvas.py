"""Blank figures and axes in the style of the project, and figures encoded as files."""

import io
from typing import Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure, FigureBase
from matplotlib.text import Text

# Font sizes in points, for figures that are printed one or two columns of a page wide.
TITLE_SIZE = 8.5
LABEL_SIZE = 8.0
TICK_SIZE = 7.0
COLUMN_INCHES = 3.3
TWO_COLUMNS_INCHES = 6.8
FAINT = "0.45"

FileFormat = Literal["png", "pdf"]
# Conferences refuse PDFs with Type 3 fonts, matplotlib's default.
_TRUE_TYPE = 42
# With dates, equal figures would not be equal files.
_NO_DATE = {"png": {"Software": None}, "pdf": {"CreationDate": None, "Producer": None, "Creator": None}}


def blank_figure(
    width_inches: float, height_inches: float, *, layout: Literal["constrained", "compressed"] = "constrained"
) -> Figure:
    """Returns an empty figure, without pyplot's global state.

    Args:
      width_inches: width of the whole figure.
      height_inches: height of the whole figure.
      layout: matplotlib's layout engine; "compressed" removes the gaps between images of a fixed aspect ratio.
    """
    figure = Figure(figsize=(width_inches, height_inches), layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def encode(figure: Figure, file_format: FileFormat, *, dots_per_inch: int = 200) -> bytes:
    """Encodes a figure as a PNG or PDF file; equal figures have equal bytes.

    Args:
      figure: the figure.
      file_format: "png" or "pdf".
      dots_per_inch: resolution of a PNG, and of the images inside a PDF.
    """
    file = io.BytesIO()
    with mpl.rc_context({"pdf.fonttype": _TRUE_TYPE}):
        figure.savefig(file, format=file_format, dpi=dots_per_inch, metadata=_NO_DATE[file_format])
    return file.getvalue()


def write_heading(figure: Figure, heading: str) -> Text:
    """Writes a title above all axes of a figure, at the left, without parsing math."""
    return figure.suptitle(heading, x=0.012, ha="left", fontsize=TITLE_SIZE + 1, fontweight="bold", parse_math=False)


def write_caption(figure: Figure, caption: str) -> Text:
    """Writes a short text below all axes of a figure, at the left, without parsing math."""
    return figure.supxlabel(caption, x=0.012, ha="left", fontsize=LABEL_SIZE, color="0.25", parse_math=False)


def style_axes(axes: Axes, *, x_label: str, y_label: str) -> None:
    """Labels the axes and thins ticks and spines."""
    axes.set_xlabel(x_label, fontsize=LABEL_SIZE)
    axes.set_ylabel(y_label, fontsize=LABEL_SIZE)
    _thin_lines(axes)


def hide_box(axes: Axes) -> None:
    """Hides the upper and right spines of a line plot."""
    axes.spines[["top", "right"]].set_visible(False)


def add_colour_bar(figure: FigureBase, mapped: ScalarMappable, axes: Axes, label: str) -> None:
    """Adds a labelled colour bar at the right of an image, as high as the image."""
    bar = figure.colorbar(mapped, cax=axes.inset_axes((1.03, 0.0, 0.04, 1.0)))
    _label_bar(bar, label)


def add_shared_colour_bar(figure: FigureBase, mapped: ScalarMappable, axes: list[Axes], label: str) -> Colorbar:
    """Adds one labelled colour bar at the right of several images that share a scale."""
    bar = figure.colorbar(mapped, ax=axes, fraction=0.03, aspect=24, pad=0.015)
    _label_bar(bar, label)
    return bar


def fill_colour_bar(figure: FigureBase, mapped: ScalarMappable, label: str) -> Colorbar:
    """Fills a narrow part of a figure with a labelled colour bar."""
    bar = figure.colorbar(mapped, cax=figure.subplots())
    _label_bar(bar, label)
    return bar


def _label_bar(bar: Colorbar, label: str) -> None:
    bar.set_label(label, fontsize=LABEL_SIZE)
    bar.outline.set_linewidth(0.6)
    _thin_lines(bar.ax)


def _thin_lines(axes: Axes) -> None:
    axes.tick_params(labelsize=TICK_SIZE, width=0.6, length=3)
    for spine in axes.spines.values():
        spine.set_linewidth(0.6)
