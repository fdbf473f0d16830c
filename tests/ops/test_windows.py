"""Windows: cutting and joining undo each other, and the mask keeps apart what only the shift brought together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.ops.windows import WindowLayout, halved, merge, neighbours, partition, shift_mask

LAYOUTS = (
    WindowLayout(grid=(4, 6), window=(2, 3)),
    WindowLayout(grid=(4, 6), window=(2, 3), shift=(1, 1)),
    WindowLayout(grid=(5, 7), window=(3, 2), shift=(1, 0)),
    WindowLayout(grid=(2, 3), window=(4, 4), shift=(2, 2)),
    WindowLayout(grid=(6, 6), window=(6, 3), shift=(0, 1)),
)


def tokens_of(layout, *, batch=2, channels=3):
    count = batch * layout.grid[0] * layout.grid[1] * channels
    return jnp.arange(1, count + 1, dtype=jnp.float32).reshape(batch, -1, channels)


def positions_of(layout):
    """The (row, column) on the map of every token of every window of a rolled and padded map; -1 for padding."""
    rows, columns = (
        np.where(np.arange(padded) < side, np.arange(padded) + shift, -side)
        for padded, side, shift in zip(layout.padded, layout.grid, layout.shift, strict=True)
    )
    places = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1)
    height, width = layout.window
    blocks = places.reshape(layout.padded[0] // height, height, layout.padded[1] // width, width, 2)
    return blocks.transpose(0, 2, 1, 3, 4).reshape(-1, height * width, 2)


@pytest.mark.parametrize("window", [(1, 1), (2, 3), (4, 6), (4, 1)])
def test_merge_undoes_partition(window):
    features = jax.random.normal(jax.random.key(0), (2, 4, 6, 5))
    windows = partition(features, window)
    assert windows.shape == (2 * 24 // (window[0] * window[1]), window[0] * window[1], 5)
    np.testing.assert_array_equal(merge(windows, window=window, grid=(4, 6)), features)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("batch", [1, 2])
def test_join_undoes_split(layout, batch):
    tokens = tokens_of(layout, batch=batch)
    windows = layout.split(tokens)
    assert windows.shape == (batch * layout.num_windows, layout.window[0] * layout.window[1], 3)
    np.testing.assert_array_equal(layout.join(windows), tokens)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_split_keeps_the_type_and_adds_only_zeros(layout):
    tokens = tokens_of(layout).astype(jnp.bfloat16)
    windows = layout.split(tokens)
    assert windows.dtype == jnp.bfloat16
    assert int(jnp.sum(windows == 0)) == 2 * 3 * (np.prod(layout.padded) - np.prod(layout.grid))
    np.testing.assert_array_equal(jnp.sort(windows[windows != 0]), jnp.sort(tokens.reshape(-1)))


def test_windows_stand_row_by_row_and_images_one_after_the_other():
    layout = WindowLayout(grid=(2, 4), window=(2, 2))
    windows = layout.split(jnp.arange(16.0).reshape(2, 8, 1))[:, :, 0]
    np.testing.assert_array_equal(windows, [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]])


def test_a_shift_moves_windows_down_and_to_the_right():
    layout = WindowLayout(grid=(1, 4), window=(1, 2), shift=(0, 1))
    windows = layout.split(jnp.arange(4.0).reshape(1, 4, 1))[:, :, 0]
    np.testing.assert_array_equal(windows, [[1, 2], [3, 0]])


def test_no_shift_needs_no_mask():
    assert WindowLayout(grid=(5, 7), window=(3, 2)).mask is None


@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if any(layout.shift)])
def test_tokens_that_the_roll_made_neighbours_never_meet(layout):
    mask = layout.mask
    places = positions_of(layout)
    is_rolled = (places >= np.asarray(layout.grid)).astype(int)
    is_real = np.all(places >= 0, axis=-1)
    # Real tokens meet in a tiled map exactly where both or none of them came from the other side, axis by axis.
    same = np.all(is_rolled[:, :, None] == is_rolled[:, None, :], axis=-1)
    both = is_real[:, :, None] & is_real[:, None, :]
    if layout.padded == layout.grid:
        np.testing.assert_array_equal(mask, np.where(same, 0, -100))
    assert set(np.unique(mask)) <= {-100, 0}
    np.testing.assert_array_equal(mask, np.swapaxes(mask, 1, 2))
    assert np.all(mask[:, np.arange(mask.shape[1]), np.arange(mask.shape[1])] == 0)
    assert both.any()


def loop_mask(grid, window, shift):
    """The definition, written as timm draws it: regions are painted on the map, and windows compare them."""
    image = np.zeros(grid)
    bounds = [
        [(0, side - size), (side - size, side - step), (side - step, side)]
        for side, size, step in zip(grid, window, shift, strict=True)
    ]
    for count, (top, bottom) in enumerate(bounds[0]):
        for other, (left, right) in enumerate(bounds[1]):
            image[top:bottom, left:right] = 3 * count + other
    masks = []
    for top in range(0, grid[0], window[0]):
        for left in range(0, grid[1], window[1]):
            region = image[top : top + window[0], left : left + window[1]].reshape(-1)
            masks.append(np.where(region[:, None] == region[None, :], 0, -100))
    return np.stack(masks)


@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if any(layout.shift)])
def test_mask_equals_painted_regions(layout):
    expected = loop_mask(layout.padded, layout.window, layout.shift)
    np.testing.assert_array_equal(shift_mask(layout.padded, window=layout.window, shift=layout.shift), expected)
    assert layout.mask.dtype == np.float32


def test_neighbours_are_joined_column_by_column():
    features = jax.random.normal(jax.random.key(1), (2, 4, 6, 3))
    parts = [features[:, row::2, column::2] for row, column in ((0, 0), (1, 0), (0, 1), (1, 1))]
    np.testing.assert_array_equal(neighbours(features), jnp.concatenate(parts, axis=-1).reshape(2, 6, 12))


def test_odd_sides_are_completed_by_zeros():
    joined = neighbours(jnp.ones((1, 3, 5, 2), jnp.float32)).reshape(2, 3, 4, 2)
    assert halved((3, 5)) == (2, 3)
    np.testing.assert_array_equal(joined[0, 0], jnp.ones((4, 2)))
    np.testing.assert_array_equal(joined[1, 0], [[1, 1], [0, 0], [1, 1], [0, 0]])
    np.testing.assert_array_equal(joined[1, 2], [[1, 1], [0, 0], [0, 0], [0, 0]])


@pytest.mark.parametrize(
    "change", [{"window": (0, 2)}, {"shift": (2, 0)}, {"shift": (0, -1)}, {"grid": (0, 4)}], ids=str
)
def test_layouts_that_cannot_be_are_refused(change):
    with pytest.raises(ConfigError, match="do not lie on a grid"):
        WindowLayout(**{"grid": (4, 4), "window": (2, 2), **change})
