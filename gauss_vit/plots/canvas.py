"""Blank figures and axes in the style of the project, and figures encoded as files."""

import io
from collections.abc import Mapping, Sequence
from typing import Literal

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure, FigureBase
from matplotlib.text import Annotation, Text

from gauss_vit.escaping import escaped

# Font sizes in points, for figures that are printed one or two columns of a page wide.
TITLE_SIZE = 8.5
LABEL_SIZE = 8.0
TICK_SIZE = 7.0
COLUMN_INCHES = 3.3
TWO_COLUMNS_INCHES = 6.8
FAINT = "0.45"

# A bar may be shorter than its label on one line.
MASS_PER_PIXEL = "% of the mass\nper pixel"
MASS_PER_PATCH = "% of the mass\nper patch"
SQUARE_ROOT = "square-root scale"

FileFormat = Literal["png", "pdf", "svg"]
# Conferences refuse PDFs with Type 3 fonts, matplotlib's default. The names of parts of an SVG are drawn from the salt.
_FILE_SETTINGS = {"pdf.fonttype": 42, "svg.hashsalt": "gauss_vit"}
# With dates, equal figures would not be equal files.
_NO_DATE = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    "svg": {"Date": None, "Creator": None},
}


def blank_figure(
    width_inches: float, height_inches: float, *, layout: Literal["constrained", "compressed"] | None = "constrained"
) -> Figure:
    """Returns an empty figure, without pyplot's global state.

    Args:
      width_inches: width of the whole figure.
      height_inches: height of the whole figure.
      layout: matplotlib's layout engine; "compressed" removes the gaps between images of a fixed aspect ratio, and
        with None axes are where they are put.
    """
    figure = Figure(figsize=(width_inches, height_inches), layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def encode(figure: Figure, file_format: FileFormat, *, dots_per_inch: int = 200) -> bytes:
    """Encodes a figure as a PNG, PDF or SVG file; equal figures have equal bytes.

    Characters that no figure can show, such as undecodable bytes in the name of a class, are escaped.

    Args:
      figure: the figure.
      file_format: "png", "pdf" or "svg".
      dots_per_inch: resolution of a PNG, and of the images inside a PDF or SVG.
    """
    file = io.BytesIO()
    for text in figure.findobj(Text):
        text.set_text(escaped(text.get_text(), keep="\n"))
    with mpl.rc_context(_FILE_SETTINGS):
        figure.savefig(file, format=file_format, dpi=dots_per_inch, metadata=_NO_DATE[file_format])
    return file.getvalue()


def write_heading(figure: FigureBase, heading: str, *, size: float = TITLE_SIZE + 1) -> Text:
    """Writes a title above all axes of a figure, at the left, without parsing math.

    Args:
      figure: the figure, or a part of it.
      heading: the title; a second line, such as a description of the model, is written smaller.
      size: font size of the first line in points.
    """
    first, *second = heading.split("\n", maxsplit=1)
    # The layout leaves room for the title alone, so that it has an empty line where the second one is written.
    title = figure.suptitle(
        first + "\n" * len(second), x=0.012, ha="left", fontsize=size, fontweight="bold", parse_math=False
    )
    for text in second:
        line = Annotation(
            text, (0, 0), xycoords=title, va="bottom", annotation_clip=False, fontsize=LABEL_SIZE, color="0.25"
        )
        line.set_parse_math(False)
        figure.add_artist(line)
    return title


def write_caption(figure: FigureBase, caption: str) -> Text:
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


def add_legend_above(axes: Axes, entries: Sequence[Artist], *, columns: int) -> None:
    """Adds a legend between the title and the axes, where it cannot hide data."""
    axes.legend(
        handles=list(entries),
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        borderaxespad=0.2,
        borderpad=0.2,
        frameon=False,
        fontsize=TICK_SIZE,
        ncols=columns,
        columnspacing=0.9,
        handlelength=1.2,
        handletextpad=0.5,
    )


def legend_columns(names: Sequence[str], *, letters: int) -> int:
    """Computes how many names of the longest one's length fit beside each other in a legend."""
    return min(len(names), max(1, letters // (max(map(len, names)) + 6)))


def add_shared_legend(figure: FigureBase, lines: Mapping[str, Artist], *, columns: int) -> None:
    """Adds one legend above all axes of a figure, at the left, without parsing math.

    Args:
      figure: the figure, or a part of it.
      lines: what the legend explains, by name.
      columns: number of names in a row.
    """
    legend = figure.legend(
        handles=list(lines.values()),
        labels=list(lines),
        loc="outside upper left",
        frameon=False,
        fontsize=TICK_SIZE,
        ncols=columns,
        handlelength=1.6,
    )
    for text in legend.texts:
        text.set_parse_math(False)


def add_colour_bar(figure: FigureBase, mapped: ScalarMappable, axes: Axes, label: str) -> None:
    """Adds a labelled colour bar at the right of an image, as high as the image."""
    bar = figure.colorbar(mapped, cax=axes.inset_axes((1.03, 0.0, 0.04, 1.0)))
    _label_bar(bar, label)


def write_row_heading(figure: FigureBase, heading: str) -> None:
    """Writes a small title above a row of panels, at the left, without parsing math."""
    figure.suptitle(heading, x=0.012, ha="left", fontsize=LABEL_SIZE, color="0.25", parse_math=False)


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
