"""Overlays show every label in its colour, its name where there is room, and the shares of all."""

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from gauss_vit.batches import IGNORED
from gauss_vit.plots.canvas import encode
from gauss_vit.plots.overlay import NUM_LISTED, overlay_figure, site_of, tinted
from gauss_vit.tasks.label_map import Label, LabelMap

HEIGHT, WIDTH = 60, 100


def labels(count: int) -> tuple[Label, ...]:
    return tuple(Label(name=f"thing {index}", colour=(index, 255 - index, 128)) for index in range(count))


def photo(value: int = 100) -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), value, np.uint8)


def halves() -> LabelMap:
    """The left 40 columns are label 1, the next 50 label 0, the last 10 none."""
    values = np.full((HEIGHT, WIDTH), IGNORED, np.uint8)
    values[:, :40], values[:, 40:90] = 1, 0
    return LabelMap(values=values, labels=labels(3))


def texts_of(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_areas_have_half_of_their_colour_and_their_borders_all_of_it():
    found = tinted(photo(), halves())
    np.testing.assert_array_equal(found[30, 10], np.rint((100 + np.array([1, 254, 128])) / 2))
    np.testing.assert_array_equal(found[30, 60], np.rint((100 + np.array([0, 255, 128])) / 2))
    np.testing.assert_array_equal(found[30, 39], [1, 254, 128])
    np.testing.assert_array_equal(found[30, 40], [0, 255, 128])


@pytest.mark.parametrize("value", [0, 255])
def test_pixels_without_a_label_keep_the_photo(value: int):
    assert np.all(tinted(photo(value), halves())[:, 90:] == value)


def test_legend_lists_labels_by_share():
    legend = overlay_figure(photo(), halves()).axes[1]
    assert texts_of(legend) == ["50.0 %", "thing 0", "40.0 %", "thing 1"]
    swatches = [patch for patch in legend.patches if isinstance(patch, Rectangle)]
    np.testing.assert_allclose(
        [patch.get_facecolor()[:3] for patch in swatches], [[0, 1, 128 / 255], [1 / 255, 254 / 255, 128 / 255]]
    )


@pytest.mark.parametrize(("count", "num_other"), [(NUM_LISTED + 1, 0), (NUM_LISTED + 3, 3)])
def test_small_labels_are_counted_as_other_but_never_one_alone(count: int, num_other: int):
    values = np.repeat(np.arange(count, dtype=np.uint8), WIDTH * HEIGHT // count + 1)[: HEIGHT * WIDTH]
    label_map = LabelMap(values=values.reshape(HEIGHT, WIDTH), labels=labels(count))
    shown = texts_of(overlay_figure(photo(), label_map).axes[1])
    assert len(shown) == 2 * (count - num_other + bool(num_other))
    assert (shown[-1] == f"{num_other} other") == bool(num_other)
    shares = [float(text.removesuffix(" %")) for text in shown[::2]]
    assert sum(shares) == pytest.approx(100, abs=0.05 * len(shares))


def test_names_stand_in_the_areas_that_have_room_for_them():
    values = halves().values.copy()
    values[0, :3] = 2
    picture = overlay_figure(photo(), LabelMap(values=values, labels=labels(3))).axes[0]
    assert texts_of(picture) == ["thing 0", "thing 1"]
    for text, (first, last) in zip(picture.texts, [(40, 90), (0, 40)], strict=True):
        column, row = text.get_position()
        assert column == pytest.approx((first + last) / 2, abs=2)
        assert 0 < row < HEIGHT


def test_site_is_the_centre_of_a_square_and_lies_in_a_ring():
    area = np.zeros((300, 200), bool)
    area[40:141, 60:161] = True
    site = site_of(area)
    assert (site.row, site.column) == pytest.approx((90, 110), abs=8)
    assert site.depth == pytest.approx(50, abs=8)
    area[60:121, 80:141] = False
    site = site_of(area)
    assert area[int(site.row), int(site.column)]
    assert site_of(np.zeros((300, 200), bool)) is None


def test_long_names_lists_of_synonyms_and_formulas_are_written_plainly():
    names = ("sofa, couch, lounge", "x" * 60, "a $ b $ c\x1b[2J")
    values = np.repeat(np.arange(3, dtype=np.uint8), HEIGHT * WIDTH // 3).reshape(HEIGHT, WIDTH)
    label_map = LabelMap(values=values, labels=tuple(Label(name=name, colour=(9, 9, 9)) for name in names))
    figure = overlay_figure(photo(), label_map)
    assert encode(figure, "png", dots_per_inch=50)
    first, second, third = texts_of(figure.axes[1])[1::2]
    assert first == "sofa"
    assert second.startswith("xxx") and len(second) < 30
    assert third == "a $ b $ c\\x1b[2J"


@pytest.mark.parametrize("shape", [(1, 1), (3, 400), (400, 3)])
def test_any_shape_is_drawn(shape: tuple[int, int]):
    label_map = LabelMap(values=np.zeros(shape, np.uint8), labels=labels(1))
    figure = overlay_figure(np.zeros((*shape, 3), np.uint8), label_map)
    assert encode(figure, "png", dots_per_inch=30)
    assert "100.0 %" in texts_of(figure.axes[1])
