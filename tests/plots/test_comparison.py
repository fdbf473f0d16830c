"""The figure of several receptive fields: one scale for maps, a symmetric one for differences."""

import dataclasses

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from gauss_vit.analysis.comparison import MeasuredField, difference
from gauss_vit.errors import ConfigError
from gauss_vit.plots.canvas import encode
from gauss_vit.plots.comparison import comparison_figure

SHAPE, GRID = (40, 56), (10, 14)


def field(sigma, *, title, has_band=True):
    y, x = np.indices(SHAPE)
    values = np.exp(-((y - 17.5) ** 2 + (x - 25.5) ** 2) / (2 * sigma**2))
    radii = np.arange(41.0)
    mass = 1 - np.exp(-(radii**2) / (2 * sigma**2))
    return MeasuredField(
        title=title,
        values=values / values.sum(),
        token=(4, 6),
        grid=GRID,
        protocol="bmvc2023",
        num_images=7,
        radii_px=radii,
        radial_mass=mass,
        radial_band=np.stack([0.9 * mass, mass]) if has_band else None,
    )


def fields(count):
    return tuple(field(4.0 + index, title=f"model_{index}") for index in range(count))


def parts_of(figure):
    return [part for each in figure.subfigs for part in (each, *each.subfigs)]


def images_of(figure):
    return [axes for part in parts_of(figure) for axes in part.axes if axes.images]


def profile_of(figure):
    (axes,) = [axes for part in parts_of(figure) for axes in part.axes if axes.get_ylabel() == "% of the mass within"]
    return axes


@pytest.mark.parametrize("count", [2, 3, 5])
def test_all_maps_share_one_scale(count):
    given = fields(count)
    maps = images_of(comparison_figure(given))[:count]
    limits = {axes.images[0].get_clim() for axes in maps}
    assert limits == {(0, max(one.values.max() for one in given) * 100)}
    for axes, one in zip(maps, given, strict=True):
        np.testing.assert_allclose(axes.images[0].get_array(), 100 * one.values)


@pytest.mark.parametrize("count", [2, 4])
def test_differences_from_the_first_share_a_symmetric_scale(count):
    given = fields(count)
    changes = images_of(comparison_figure(given))[count:]
    assert len(changes) == count - 1
    for axes, one in zip(changes, given[1:], strict=True):
        low, high = axes.images[0].get_clim()
        expected = difference(one, given[0])
        assert low == -high
        assert high >= 100 * np.abs(expected.by_patch).max()
        np.testing.assert_allclose(axes.images[0].get_array(), 100 * expected.by_patch)
        assert f"{100 * expected.moved_mass:.1f} % of the mass moved" == axes.get_xlabel()
    assert len({axes.images[0].get_clim() for axes in changes}) == 1


@pytest.mark.parametrize("count", [2, 5])
def test_maps_fill_their_axes_and_rows_name_their_units(count):
    figure = comparison_figure(fields(count))
    for axes in images_of(figure):
        assert (axes.get_xlim(), axes.get_ylim()) == ((-0.5, 55.5), (39.5, -0.5))
    headings = [part.get_suptitle() for part in parts_of(figure)]
    assert "Receptive fields: % of the mass per pixel, square-root scale" in headings
    assert "Differences: % of the mass per patch, logarithmic scale" in headings


def test_the_target_of_every_map_is_outlined():
    for axes in images_of(comparison_figure(fields(3))):
        (outline,) = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
        assert (outline.get_x(), outline.get_y(), outline.get_width()) == (23.5, 15.5, 4)


def test_profiles_are_overlaid_with_the_bands_that_exist():
    given = (*fields(2), field(9.0, title="without", has_band=False))
    axes = profile_of(comparison_figure(given))
    assert len(axes.lines) == 4
    assert len(axes.collections) == 2
    for line, one in zip(axes.lines, given, strict=False):
        np.testing.assert_allclose(line.get_ydata(), 100 * one.radial_mass)
    uniform = axes.lines[3].get_ydata()
    assert uniform[0] == 0
    assert uniform[-1] == 100
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["(a)", "(b)", "(c)", "uniform"]


def test_equal_fields_have_a_scale_too():
    one = field(4.0, title="a")
    assert encode(comparison_figure((one, dataclasses.replace(one, title="b"))), "png", dots_per_inch=40)


def test_what_is_equal_among_fields_is_said_once():
    first, second = fields(2)
    assert comparison_figure((first, second)).get_supxlabel() == "Axes in pixels; bmvc2023, 7 images"
    other = dataclasses.replace(second, protocol="replknet")
    caption = comparison_figure((first, other)).get_supxlabel()
    assert caption == "Axes in pixels; (a) bmvc2023, 7 images; (b) replknet, 7 images"


def test_fields_of_different_patches_say_so_within_the_figure():
    several = [dataclasses.replace(each, token=(index, 0)) for index, each in enumerate(fields(8))]
    figure = comparison_figure(tuple(several))
    encode(figure, "png", dots_per_inch=40)
    caption = figure.get_supxlabel()
    assert "(h) bmvc2023, 7 images, patch 7,0 of 10 x 14" in " ".join(caption.split())
    (text,) = [text for text in figure.texts if text.get_text() == caption]
    assert text.get_window_extent().x1 <= figure.bbox.x1


def test_long_titles_are_broken_and_lose_nothing():
    title = "swin_small_patch4_window7_224.ms_in22k_ft_in1k"
    given = (*fields(3), field(4.0, title=title))
    shown = images_of(comparison_figure(given))[3].get_title()
    assert "\n" in shown
    assert shown.replace("\n", "") == f"(d) {title}"


@pytest.mark.parametrize("file_format", ["png", "pdf"])
def test_the_figure_becomes_the_same_file_twice(file_format):
    contents = [encode(comparison_figure(fields(2)), file_format, dots_per_inch=60) for _ in range(2)]
    assert contents[0] == contents[1]
    assert len(contents[0]) > 5000


def test_maps_of_different_sizes_are_refused():
    small = dataclasses.replace(fields(1)[0], values=np.full((4, 4), 1 / 16))
    with pytest.raises(ConfigError, match="pixels"):
        comparison_figure((fields(1)[0], small))
