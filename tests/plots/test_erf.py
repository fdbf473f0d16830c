"""The figure of a receptive field shows what the result says."""

import dataclasses

import numpy as np
import pytest
from matplotlib.patches import Circle, Ellipse, Rectangle

from gauss_vit.analysis.erf import ErfMap
from gauss_vit.analysis.gaussian_fit import fit_receptive_fields, gaussian_image
from gauss_vit.analysis.protocol import BMVC2023
from gauss_vit.analysis.token import all_tokens
from gauss_vit.plots.canvas import encode
from gauss_vit.plots.erf import erf_figure, mosaic_figure

GRID, IMAGE_SIZE = (10, 14), (80, 112)


def field(token=(4, 6), sigma=9.0):
    row, column = (8 * index + 3.5 for index in token)
    y, x = np.indices(IMAGE_SIZE)
    values = np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * sigma**2))
    return ErfMap(values=values / values.sum(), magnitude=1.0, num_images=7, token=token, grid=GRID, protocol=BMVC2023)


def ellipses(figure):
    return [patch for patch in figure.axes[0].patches if type(patch) is Ellipse]


def drawn(erf):
    (fit,) = fit_receptive_fields(erf.values[None])
    return fit, erf_figure(erf, fit, title="a model")


def test_the_map_is_drawn_in_percent_on_a_scale_from_zero():
    erf = field()
    _, figure = drawn(erf)
    image = figure.axes[0].images[0]
    np.testing.assert_allclose(image.get_array(), 100 * erf.values)
    assert image.get_clim() == pytest.approx((0, 100 * erf.values.max()))


def test_the_target_patch_is_outlined_at_its_pixels():
    _, figure = drawn(field(token=(2, 11)))
    (outline,) = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    assert (outline.get_x(), outline.get_y()) == (87.5, 15.5)
    assert (outline.get_width(), outline.get_height()) == (8, 8)


def test_the_ellipse_is_one_sigma_of_the_fit():
    fit, figure = drawn(field())
    (ellipse,) = ellipses(figure)
    assert ellipse.center == pytest.approx((fit.center_x, fit.center_y))
    assert (ellipse.width, ellipse.height) == pytest.approx((2 * fit.sigma_x, 2 * fit.sigma_y))
    on_border = gaussian_image(dataclasses.replace(fit, center_x=50.0 - fit.sigma_x, center_y=40.0), 80, 112)[40, 50]
    peak = fit.amplitude / (2 * np.pi * fit.sigma_x * fit.sigma_y)
    assert on_border == pytest.approx(peak * np.exp(-0.5))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"converged": False}, "it did not converge"),
        ({"r_squared": 0.39}, "R² 0.39 is below 0.5"),
        ({"sigma_y": 0.48}, "sigma 0.48 px is less than a pixel"),
    ],
)
def test_no_ellipse_is_drawn_for_a_fit_that_means_nothing(change, said):
    erf = field()
    (fit,) = fit_receptive_fields(erf.values[None])
    figure = erf_figure(erf, dataclasses.replace(fit, **change), title="a model")
    assert not ellipses(figure)
    assert f"Gaussian fit: not used, {said}" in figure.get_supxlabel()


def test_the_circle_holds_half_of_the_mass():
    erf = field()
    _, figure = drawn(erf)
    (circle,) = [patch for patch in figure.axes[0].patches if isinstance(patch, Circle)]
    row, column = np.indices(IMAGE_SIZE)
    inside = np.hypot(column - circle.center[0], row - circle.center[1]) <= circle.radius + 1e-9
    assert circle.center == (51.5, 35.5)
    # One pixel of the map more or less.
    assert erf.values[inside].sum() == pytest.approx(0.5, abs=2 * erf.values.max() * np.pi * circle.radius)
    assert f"Half of the mass within {circle.radius:.1f} px" in figure.get_supxlabel()


def test_the_legends_are_outside_of_the_data():
    _, figure = drawn(field())
    figure.draw_without_rendering()
    legends = [axes for axes in figure.axes if axes.get_legend() is not None]
    assert [[text.get_text() for text in axes.get_legend().get_texts()] for axes in legends] == [
        ["target patch", "half of the mass", "Gaussian fit"],
        ["uniform"],
    ]
    for axes in legends:
        legend = axes.get_legend().get_window_extent()
        assert legend.y0 >= axes.get_window_extent().y1 - 1
        assert legend.x1 <= figure.bbox.x1


def test_the_caption_says_what_was_measured_and_fitted():
    fit, figure = drawn(field())
    caption = figure.get_supxlabel()
    for part in ("Patch (4, 6) of 10 x 14", "7 images", "bmvc2023", f"{fit.sigma_x:.2f}", f"{fit.r_squared:.3f}"):
        assert part in caption
    assert figure.get_suptitle() == "a model"


def test_profiles_add_up_to_the_whole_field():
    _, figure = drawn(field())
    row, column = (axes.lines[0].get_ydata() for axes in figure.axes[1:3])
    assert (row.size, column.size) == (112, 80)
    assert row.sum() == pytest.approx(100)
    assert column.sum() == pytest.approx(100)


def test_every_colour_bar_names_its_unit():
    _, figure = drawn(field())
    labels = [axes.get_ylabel() for axes in (*figure.axes, *figure.axes[0].child_axes)]
    assert "% of the mass\nper pixel, square-root scale" in labels


@pytest.mark.parametrize("file_format", ["png", "pdf", "svg"])
def test_the_figure_becomes_a_file(file_format):
    _, figure = drawn(field())
    assert len(encode(figure, file_format, dots_per_inch=60)) > 5000


def test_a_mosaic_has_each_tokens_field_at_its_place():
    tokens = all_tokens(GRID)
    figure = mosaic_figure(tuple(field(token, sigma=4.0) for token in tokens), title="a model")
    mosaic = np.asarray(figure.axes[0].images[0].get_array()).reshape(10, 10, 14, 14).transpose(0, 2, 1, 3)
    for token in tokens:
        assert mosaic[token].sum() == pytest.approx(100)
        assert np.unravel_index(mosaic[token].argmax(), GRID) == token
    assert encode(figure, "png", dots_per_inch=60)


def test_a_mosaic_leaves_missing_tokens_empty():
    figure = mosaic_figure((field((0, 0)), field((9, 13))), title="a model")
    image = np.asarray(np.ma.filled(figure.axes[0].images[0].get_array(), np.nan))
    assert np.isfinite(image).sum() == 2 * 140
