"""Figures as files."""

import subprocess
import sys

import pytest
from matplotlib.text import Text

from gauss_vit.plots.canvas import blank_figure, encode, write_caption, write_heading


@pytest.mark.parametrize(
    ("file_format", "magic"), [("png", b"\x89PNG\r\n\x1a\n"), ("pdf", b"%PDF-"), ("svg", b"<?xml ")]
)
def test_a_figure_is_a_file_of_every_format(file_format, magic):
    figure = blank_figure(2.0, 1.0)
    figure.subplots().plot([0, 1], [1, 0])
    assert encode(figure, file_format).startswith(magic)


@pytest.mark.parametrize("file_format", ["png", "pdf", "svg"])
def test_equal_figures_are_equal_bytes(file_format):
    def draw():
        figure = blank_figure(2.0, 1.0)
        axes = figure.subplots()
        axes.plot([0, 1], [1, 0])
        axes.imshow([[0.0, 1.0]])
        return encode(figure, file_format)

    assert draw() == draw()


def test_fonts_of_a_pdf_are_true_type():
    figure = blank_figure(2.0, 1.0)
    write_caption(figure, "sigma")
    content = encode(figure, "pdf")
    assert b"/Type3" not in content
    assert b"/FontFile2" in content


def test_second_line_of_a_heading_is_below_the_first_and_above_the_axes():
    figure = blank_figure(4.0, 3.0)
    axes = figure.subplots()
    write_heading(figure, "run_$x, step 600\nViT, 4 layers, $y_")
    figure.draw_without_rendering()
    (second,) = [text for text in figure.artists if isinstance(text, Text)]
    first, below = figure._suptitle.get_window_extent(), second.get_window_extent()
    assert second.get_text() == "ViT, 4 layers, $y_"
    assert not second.get_parse_math()
    assert below.y0 >= axes.get_tightbbox().y1
    assert below.y1 <= (first.y0 + first.y1) / 2 + 1
    assert below.x0 == pytest.approx(first.x0, abs=2)


def test_resolution_is_in_dots_per_inch():
    content = encode(blank_figure(2.0, 1.0), "png", dots_per_inch=50)
    width, height = (int.from_bytes(content[start : start + 4], "big") for start in (16, 20))
    assert (width, height) == (100, 50)


def test_names_of_users_start_no_formula():
    figure = blank_figure(3.0, 1.0)
    heading, caption = write_heading(figure, r"run_$\frac{"), write_caption(figure, "cost $5 and $x_")
    assert not heading.get_parse_math()
    assert not caption.get_parse_math()
    assert encode(figure, "png")


def test_pyplot_is_not_involved():
    script = (
        "import sys, gauss_vit.plots.erf, gauss_vit.plots.position;"
        "sys.exit('matplotlib.pyplot' in sys.modules or 'tkinter' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
