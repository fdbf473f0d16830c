"""The figures of attention show what was measured."""

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from gauss_vit.analysis.attention import ImageAttention, LayerAttention
from gauss_vit.plots.attention import distance_figure, rollout_figure
from gauss_vit.plots.canvas import encode


def layer(index, *, heads=3, patch=(8, 8)):
    distance = np.linspace(1, 2, heads) + index
    return LayerAttention(
        distance=distance,
        distance_px=distance * patch[0],
        entropy=distance / 2,
        even_distance_px=30.0,
        even_entropy=2.5,
        patch_size=patch,
    )


def attention(layers, *, images=5, has_class=True, shown=3):
    random = np.random.default_rng(0)
    return ImageAttention(
        layers=layers,
        num_images=images,
        photos=random.integers(0, 256, (shown, 16, 32, 3), dtype=np.uint8),
        token=(1, 3),
        rollout=random.dirichlet(np.ones(8), images).reshape(images, 2, 4),
        class_rollout=random.dirichlet(np.ones(8), images).reshape(images, 2, 4) if has_class else None,
    )


def lines_of(axes):
    return {line.get_label(): line for line in axes.lines}


def test_heads_are_dots_and_their_mean_is_a_line_in_pixels():
    found = attention((layer(0), layer(1)))
    distance, spread = distance_figure(found, title="a model").axes[:2]
    lines = lines_of(distance)
    np.testing.assert_allclose(lines["head"].get_ydata(), np.concatenate([each.distance_px for each in found.layers]))
    np.testing.assert_array_equal(lines["head"].get_xdata(), [0, 0, 0, 1, 1, 1])
    np.testing.assert_allclose(lines["mean"].get_ydata(), [12, 20])
    np.testing.assert_array_equal(lines["even"].get_ydata(), [30, 30])
    np.testing.assert_allclose(lines_of(spread)["mean"].get_ydata(), [0.75, 1.25])
    assert "pixel" in distance.get_ylabel() and "nat" in spread.get_ylabel()


def test_patches_of_one_square_size_have_an_axis_of_their_own():
    figure = distance_figure(attention((layer(0), layer(1))), title="a model")
    figure.draw_without_rendering()
    distance = figure.axes[0]
    (patches,) = distance.child_axes
    np.testing.assert_allclose(np.array(patches.get_ylim()) * 8, distance.get_ylim())
    mixed = attention((layer(0, heads=2), layer(1, heads=4, patch=(16, 16))))
    assert distance_figure(mixed, title="a model").axes[0].child_axes == []
    oblong = attention((layer(0, patch=(8, 16)),))
    assert distance_figure(oblong, title="a model").axes[0].child_axes == []


@pytest.mark.parametrize(("has_class", "shown"), [(True, 3), (False, 1)])
def test_rollouts_of_images_and_their_mean_are_drawn_in_percent(has_class, shown):
    found = attention((layer(0),), has_class=has_class, shown=shown)
    figure = rollout_figure(found, title="a model")
    panels = [axes for axes in figure.axes if axes.images]
    photos, maps = panels[:shown], panels[shown : 2 * shown + 1]
    assert len(panels) == shown + (2 if has_class else 1) * (shown + 1)
    for axes, photo in zip(photos, found.photos, strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), photo)
    for axes, expected in zip(maps, [*found.rollout[:shown], found.rollout.mean(axis=0)], strict=True):
        np.testing.assert_allclose(axes.images[0].get_array(), 100 * expected)
        (outline,) = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
        assert (outline.get_y() + 0.5, outline.get_x() + 0.5) == (1, 3)
    # A patch of the photo is 8 x 8 pixels.
    (outline,) = [patch for patch in photos[0].patches if isinstance(patch, Rectangle)]
    assert (outline.get_y() + 0.5, outline.get_x() + 0.5, outline.get_width()) == (8, 24, 8)
    assert encode(figure, "png", dots_per_inch=50)


def test_windows_have_no_rollout():
    with pytest.raises(ValueError, match="no rollout"):
        rollout_figure(
            ImageAttention(
                layers=(layer(0),),
                num_images=1,
                photos=np.zeros((1, 16, 32, 3), np.uint8),
                token=(0, 0),
                rollout=None,
                class_rollout=None,
            ),
            title="a model",
        )
