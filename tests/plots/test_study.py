"""Figures of a study."""

import pytest

from gauss_vit.plots.canvas import encode
from gauss_vit.plots.study import Bar, learned_figure, study_figure

ARMS = (
    Bar(name="none", points=(30.0, 32.0), mean=31.0, over_seeds=(20.0, 42.0), over_images=(29.0, 33.0)),
    Bar(name="a very long name of an arm $x$", points=(33.0,), mean=33.0, over_seeds=None, over_images=None),
)
DIFFERENCES = (Bar(name=ARMS[1].name, points=(1.0,), mean=1.0, over_seeds=None, over_images=(-1.0, 3.0)),)
TEXTS = {"title": "T", "metric": "top1", "baseline": "none", "unit": "%"}


def test_rows_are_the_arms_and_differences_stand_beside_theirs():
    figure = study_figure(ARMS, DIFFERENCES, **TEXTS)
    left, right = figure.axes
    assert [label.get_text() for label in left.get_yticklabels()] == [bar.name for bar in ARMS]
    assert [line.get_xdata()[0] for line in right.lines if line.get_marker() == "o"] == [1.0]
    assert {line.get_ydata()[0] for line in right.lines if line.get_marker() == "o"} == {1}
    assert left.get_ylim() == right.get_ylim()
    assert left.get_ylim()[0] > left.get_ylim()[1]


def test_study_of_one_arm_has_one_panel():
    assert len(study_figure(ARMS[:1], (), **TEXTS).axes) == 1


def test_equal_figures_have_equal_bytes():
    first, second = (encode(study_figure(ARMS, DIFFERENCES, **TEXTS), "png", dots_per_inch=40) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("count", [1, 2, 3])
def test_numbers_over_layers_have_a_panel_each(count: int):
    learned = {f"gaussian/n{index}": {"gauss": (1.0, 2.0), "both": (1.5, 2.5)} for index in range(count)}
    figure = learned_figure(learned, title="T")
    (part,) = figure.subfigs
    assert [axes.get_title() for axes in part.axes] == list(learned)
    assert [line.get_label() for line in part.axes[0].lines] == ["gauss", "both"]


def test_many_arms_of_long_names_look_different_and_leave_room_for_the_panels():
    arms = [f"an_arm_of_a_long_name_{index}" for index in range(12)]
    figure = learned_figure({"gaussian/sigma": dict.fromkeys(arms, (1.0, 2.0))}, title="T")
    encode(figure, "png", dots_per_inch=40)
    (part,) = figure.subfigs
    (axes,), (legend,) = part.axes, part.legends
    looks = {(line.get_color(), line.get_linestyle()) for line in axes.lines}
    assert len(looks) == len(arms)
    assert [text.get_text() for text in legend.texts] == arms
    assert axes.get_window_extent().width > 0.7 * figure.bbox.width
    assert legend.get_window_extent().x1 <= figure.bbox.x1
    assert legend.get_window_extent().y0 >= axes.title.get_window_extent().y1


def test_nothing_learned_is_no_figure():
    assert learned_figure({}, title="T") is None
