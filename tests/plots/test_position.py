"""The figures of position biases show what the analysis says."""

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from gauss_vit.analysis.position import LearnedGaussian, analyse_position
from gauss_vit.plots.canvas import encode
from gauss_vit.plots.position import layers_figure, rows_figure, tables_figure

GRID = (6, 9)


def gaussian_tables(sigmas, grid=GRID):
    dy, dx = np.meshgrid(np.arange(1 - grid[0], grid[0]), np.arange(1 - grid[1], grid[1]), indexing="ij")
    return np.stack([4 * np.exp(-(dy**2 + dx**2) / (2 * sigma**2)) for sigma in sigmas])[:, None]


def analysed(sigmas, *, heads=1, isotropic=True):
    sigma = np.repeat(np.asarray(sigmas)[:, None], heads, axis=1) + 0.1 * np.arange(heads)
    learned = LearnedGaussian(
        amplitude=np.full(sigma.shape, -2.0), sigma_y=-sigma, sigma_x=-sigma if isotropic else 2 * sigma
    )
    return analyse_position(gaussian_tables(sigmas), grid=GRID, learned=learned)


def images_of(figure):
    return [axes.images[0] for axes in figure.axes if axes.images]


@pytest.mark.parametrize("depth", [1, 4, 8])
def test_every_layer_has_a_panel_on_one_scale(depth):
    analysis = analysed(np.linspace(3, 1, depth))
    figure = tables_figure(analysis, title="a model")
    panels = images_of(figure)
    assert len(panels) == depth
    assert len({panel.get_clim() for panel in panels}) == 1
    for index, panel in enumerate(panels):
        np.testing.assert_array_equal(panel.get_array(), analysis.tables[index])
    assert [axes.get_title() for axes in figure.axes[:depth]] == [f"layer {index}" for index in range(depth)]
    assert figure.axes[-1].get_ylabel() == "bias (logits)"
    assert encode(figure, "png", dots_per_inch=50)


def test_offsets_are_counted_from_the_centre_of_the_table():
    figure = tables_figure(analysed([2.0]), title="a model")
    assert images_of(figure)[0].get_extent() == [-8.5, 8.5, 5.5, -5.5]


def test_signed_tables_get_colours_that_meet_at_zero():
    signed = analyse_position(gaussian_tables([2.0]) - 1, grid=GRID)
    low, high = images_of(tables_figure(signed, title="a model"))[0].get_clim()
    assert low == -high == -3
    assert images_of(tables_figure(analysed([2.0]), title="a model"))[0].get_clim() == (0, 4)


def test_a_table_of_zeros_can_be_drawn():
    zeros = analyse_position(np.zeros((2, 1, 11, 17)), grid=GRID)
    assert encode(tables_figure(zeros, title="a model"), "png", dots_per_inch=50)
    assert encode(layers_figure(zeros, title="a model"), "png", dots_per_inch=50)


@pytest.mark.parametrize("grid", [(1, 1), (1, 8)])
def test_a_grid_of_one_row_can_be_drawn(grid):
    single = analyse_position(gaussian_tables([2.0], grid), grid=grid)
    for figure in (
        tables_figure(single, title="a model"),
        layers_figure(single, title="a model"),
        rows_figure(single, ((0, 0),), layer=0, title="a model"),
    ):
        assert encode(figure, "png", dots_per_inch=50)


def test_rows_peak_at_the_outlined_query():
    tokens = ((0, 0), (2, 7), (5, 8))
    figure = rows_figure(analysed([2.0, 1.0]), tokens, layer=1, title="a model")
    for token, axes in zip(tokens, figure.axes[:3], strict=True):
        row = np.asarray(axes.images[0].get_array())
        (outline,) = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
        assert row.shape == GRID
        assert np.unravel_index(row.argmax(), GRID) == token
        assert (outline.get_y() + 0.5, outline.get_x() + 0.5) == token
    assert "Layer 1" in figure.get_supxlabel()
    assert encode(figure, "pdf", dots_per_inch=50)


def test_lines_over_depth_are_the_fits_and_the_learned_values():
    analysis = analysed([2.0, 1.5, 1.0])
    figure = layers_figure(analysis, title="a model")
    sigma, peak, quality = figure.axes
    lines = {line.get_label(): np.asarray(line.get_ydata()) for line in (*sigma.lines, *peak.lines)}
    np.testing.assert_array_equal(lines["fitted x"], [fit.sigma_x for fit in analysis.fits])
    np.testing.assert_array_equal(lines["fitted y"], [fit.sigma_y for fit in analysis.fits])
    np.testing.assert_allclose(lines["learned"], [2.0, 1.5, 1.0])
    np.testing.assert_allclose(lines["learned amplitude²"], 4)
    np.testing.assert_array_equal(quality.lines[0].get_ydata(), [fit.r_squared for fit in analysis.fits])
    np.testing.assert_array_equal(quality.lines[0].get_xdata(), [0, 1, 2])
    assert encode(figure, "png", dots_per_inch=50)


def test_an_anisotropic_gaussian_has_two_learned_lines_with_the_span_of_heads():
    figure = layers_figure(analysed([2.0, 1.5], heads=3, isotropic=False), title="a model")
    labels = [line.get_label() for line in figure.axes[0].lines]
    assert {"learned x", "learned y"} <= set(labels)
    assert len(figure.axes[0].collections) == 2


def test_a_layer_without_gaussian_is_marked_and_leaves_the_scale_alone():
    tables = np.concatenate([gaussian_tables([2.0, 1.5]), np.zeros((1, 1, 11, 17))])
    figure = layers_figure(analyse_position(tables, grid=GRID), title="a model")
    (marks,) = [line for line in figure.axes[0].lines if line.get_label() == "no Gaussian"]
    assert list(marks.get_xdata()) == [2]
    assert figure.axes[0].get_ylim()[1] < 10
