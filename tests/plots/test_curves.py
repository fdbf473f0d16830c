"""Runs keep their colours from panel to panel, and percentages begin at zero."""

import numpy as np
import pytest

from gauss_vit.plots.canvas import encode
from gauss_vit.plots.curves import Chart, Curve, curves_figure
from tests.drawing import undrawn


def chart(*names: str, unit: str = "%", title: str = "Box AP") -> Chart:
    curves = tuple(Curve(name=name, steps=(10, 20, 30), values=(1.0, None, 5.0 + at)) for at, name in enumerate(names))
    return Chart(name=title, title=title, unit=unit, curves=curves)


def test_a_run_has_one_colour_in_all_panels():
    with undrawn():
        figure = curves_figure([chart("a", "b"), chart("b", title="Mask AP"), chart("b", "a", title="Loss", unit="")])
    colours = [{line.get_label(): line.get_color() for line in axes.lines} for axes in figure.axes]
    assert len(colours) == 3 and len(set(colours[0].values())) == 2
    assert colours[1] == {"b": colours[0]["b"]} and colours[2] == colours[0]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.texts] == ["a", "b"]


def test_percentages_begin_at_zero_on_one_scale():
    figure = curves_figure([chart("a"), chart("a", "b")])
    (limits,) = {axes.get_ylim() for axes in figure.axes}
    assert limits[0] == 0 and limits[1] > 6
    assert [axes.get_ylabel() for axes in figure.axes] == ["%", "%"]


def test_values_that_are_not_finite_are_gaps():
    figure = curves_figure([chart("a")])
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_ydata(), [1.0, np.nan, 5.0])


@pytest.mark.parametrize("num_charts", [1, 3])
def test_hostile_and_long_names_are_drawn(num_charts: int):
    names = ("$x_{", "run\udcff", "a long name " * 8)
    assert encode(curves_figure([chart(*names)] * num_charts), "png", dots_per_inch=40)
