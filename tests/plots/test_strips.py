"""Strips show every layer on one scale, with the target outlined."""

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from gauss_vit.analysis.position import analyse_position, row_of
from gauss_vit.analysis.token import Target
from gauss_vit.plots.canvas import TWO_COLUMNS_INCHES, encode
from gauss_vit.plots.strips import Strip, bias_strip_figure, field_strips_figure

GRID = (3, 4)


def fields(depth, *, seed=0):
    values = np.random.default_rng(seed).dirichlet(np.full(6 * 8, 0.1), depth)
    return values.reshape(depth, 6, 8)


def targets(depth, token):
    return (Target(token=token, grid=GRID),) * depth


def panels_of(figure):
    return [axes for axes in figure.axes if axes.images]


@pytest.mark.parametrize("depth", [1, 5, 12])
def test_a_strip_has_a_panel_a_layer_with_the_shares_of_patches(depth):
    values = fields(depth)
    figure = field_strips_figure((Strip(title="a", values=values),), targets=targets(depth, (1, 2)), caption="said")
    panels = panels_of(figure)
    assert len(panels) == depth
    for axes, layer in zip(panels, values, strict=True):
        shares = 100 * layer.reshape(3, 2, 4, 2).sum(axis=(1, 3))
        np.testing.assert_allclose(axes.images[0].get_array(), shares)
    assert len({axes.images[0].get_clim() for axes in panels}) == 1
    assert [axes.get_title() for axes in panels] == ["layer 0", *(str(layer) for layer in range(1, depth))]
    assert figure.get_size_inches()[0] == TWO_COLUMNS_INCHES
    assert encode(figure, "png", dots_per_inch=50)


def test_the_target_is_outlined_in_every_panel():
    figure = field_strips_figure((Strip(title="a", values=fields(3)),), targets=targets(3, (1, 2)), caption="said")
    for axes in panels_of(figure):
        (outline,) = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
        assert (outline.get_y() + 0.5, outline.get_x() + 0.5) == (1, 2)


def test_layers_with_grids_of_their_own_have_panels_of_one_size_and_outlines_of_theirs():
    values = fields(2)
    coarse = Target(token=(0, 1), grid=(1, 2))
    figure = field_strips_figure(
        (Strip(title="a", values=values),), targets=(Target(token=(1, 2), grid=GRID), coarse), caption="said"
    )
    outlines = []
    for axes, layer in zip(panels_of(figure), values, strict=True):
        np.testing.assert_allclose(axes.images[0].get_array(), 100 * layer.reshape(3, 2, 4, 2).sum(axis=(1, 3)))
        (outline,) = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
        outlines.append((outline.get_y(), outline.get_x(), outline.get_height(), outline.get_width()))
    assert outlines == [(0.5, 1.5, 1, 1), (-0.5, 1.5, 3, 2)]


def test_strips_of_two_models_share_the_scale_and_keep_their_names():
    strips = (Strip(title="none", values=fields(3)), Strip(title="zero", values=fields(3, seed=1)))
    figure = field_strips_figure(strips, targets=targets(3, (0, 0)), caption="said")
    panels = panels_of(figure)
    assert len(panels) == 6
    shares = np.stack([np.asarray(axes.images[0].get_array()) for axes in panels])
    (limits,) = {axes.images[0].get_clim() for axes in panels}
    assert limits == pytest.approx((max(shares.min(), shares.max() / 1e4), shares.max()))
    titles = [part.get_suptitle() for part in figure.subfigs[0].subfigs]
    assert titles == ["none", "zero"]
    assert encode(figure, "pdf", dots_per_inch=50)


def test_a_layer_that_sees_one_patch_alone_can_be_drawn():
    values = np.zeros((2, 6, 8))
    values[:, :2, :2] = 0.25
    figure = field_strips_figure((Strip(title="a", values=values),), targets=targets(2, (0, 0)), caption="said")
    assert encode(figure, "png", dots_per_inch=50)


def test_the_strip_of_biases_shows_the_rows_of_the_patch():
    tables = np.random.default_rng(0).normal(size=(4, 2, 5, 7))
    analysis = analyse_position(tables, grid=GRID, token=(2, 1))
    panels = panels_of(bias_strip_figure(analysis, title="a model"))
    rows = row_of(tables.mean(axis=1), (2, 1), grid=GRID)
    assert len(panels) == 4
    for axes, row in zip(panels, rows, strict=True):
        np.testing.assert_allclose(axes.images[0].get_array(), row)
    low, high = panels[0].images[0].get_clim()
    assert low == -high == -np.abs(rows).max()
