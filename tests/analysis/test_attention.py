"""Attention distances, entropies and rollouts against closed forms."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.analysis.attention import (
    ImageAttention,
    LayerAttention,
    entropy,
    mean_distance,
    places_in_windows,
    places_on_grid,
    rollout,
    row_on_grid,
)
from gauss_vit.errors import ConfigError
from gauss_vit.ops.windows import WindowLayout


def uniform(tokens, *, layers=1, batch=1, heads=1):
    return jnp.full((layers, batch, heads, tokens, tokens), 1 / tokens, jnp.float32)


def moved(grid, target):
    """Attention of every patch to one other patch alone: `target(row, column)`."""
    weights = np.zeros((1, 1, 1, math.prod(grid), math.prod(grid)), np.float32)
    for row in range(grid[0]):
        for column in range(grid[1]):
            to_row, to_column = target(row, column)
            weights[0, 0, 0, row * grid[1] + column, to_row * grid[1] + to_column] = 1
    return jnp.asarray(weights)


def random_weights(shape, seed=0):
    return jax.nn.softmax(3 * jax.random.normal(jax.random.key(seed), shape, jnp.float32), axis=-1)


@pytest.mark.parametrize("grid", [(6, 6), (10, 14), (1, 9)])
def test_uniform_attention_has_the_mean_distance_of_all_pairs(grid):
    height, width = grid
    # An offset (dy, dx) occurs (height - |dy|) (width - |dx|) times.
    expected = (
        sum(
            (height - abs(dy)) * (width - abs(dx)) * math.hypot(dy, dx)
            for dy in range(1 - height, height)
            for dx in range(1 - width, width)
        )
        / (height * width) ** 2
    )
    found = mean_distance(uniform(height * width), places_on_grid(grid))
    assert float(found[0, 0, 0]) == pytest.approx(expected, rel=1e-5)
    if height == 1:
        assert expected == pytest.approx((width**2 - 1) / (3 * width))


def test_attention_to_oneself_has_distance_0_and_no_entropy():
    itself = moved((3, 4), lambda row, column: (row, column))
    places = places_on_grid((3, 4))
    assert float(mean_distance(itself, places)[0, 0, 0]) == 0
    assert float(entropy(itself, places)[0, 0, 0]) == pytest.approx(0, abs=1e-12)


def test_a_shift_has_its_length_in_patches_and_in_pixels():
    away = moved((4, 6), lambda row, column: ((row + 2) % 4, (column + 3) % 6))
    places = places_on_grid((4, 6))
    assert float(mean_distance(away, places)[0, 0, 0]) == pytest.approx(math.sqrt(13), rel=1e-6)
    pixels = mean_distance(away, places, patch_size=(16.0, 8.0))
    assert float(pixels[0, 0, 0]) == pytest.approx(math.hypot(2 * 16, 3 * 8), rel=1e-6)


def test_prefix_tokens_are_neither_queries_nor_keys():
    inner = random_weights((2, 3, 4, 12, 12))
    # Patches give three quarters of their weight away to two prefix tokens, which themselves look anywhere.
    outer = random_weights((2, 3, 4, 14, 14), seed=1)
    outer = outer.at[..., 2:, 2:].set(inner / 4).at[..., 2:, :2].set(3 / 8)
    plain, prefixed = places_on_grid((3, 4)), places_on_grid((3, 4), prefix_tokens=2)
    np.testing.assert_allclose(mean_distance(outer, prefixed), mean_distance(inner, plain), rtol=1e-5)
    np.testing.assert_allclose(entropy(outer, prefixed), entropy(inner, plain), rtol=1e-5)


def test_layers_images_and_heads_keep_their_places():
    weights = random_weights((2, 3, 4, 6, 6))
    found = np.asarray(mean_distance(weights, places_on_grid((2, 3))))
    assert found.shape == (2, 3, 4)
    alone = mean_distance(weights[1:, 2:, 3:], places_on_grid((2, 3)))
    assert found[1, 2, 3] == pytest.approx(float(alone[0, 0, 0]), rel=1e-6)


def test_uniform_attention_has_the_entropy_of_its_keys_also_in_half_precision():
    weights = uniform(16).astype(jnp.bfloat16)
    assert float(entropy(weights, places_on_grid((4, 4)))[0, 0, 0]) == pytest.approx(math.log(16), rel=1e-5)


def window_distances(layout):
    """The distances of the tokens of every window by their numbers in the map, with numpy alone."""
    numbers = np.arange(math.prod(layout.grid)).reshape(layout.grid)
    rolled = np.roll(numbers, (-layout.shift[0], -layout.shift[1]), axis=(0, 1))
    (height, width), columns = layout.window, layout.grid[1]
    for top in range(0, layout.grid[0], height):
        for left in range(0, columns, width):
            tokens = rolled[top : top + height, left : left + width].ravel()
            row, column = np.divmod(tokens, columns)
            yield np.hypot(row[:, None] - row[None, :], column[:, None] - column[None, :])


@pytest.mark.parametrize("shift", [(0, 0), (1, 2)])
def test_distances_in_windows_are_those_in_the_map(shift):
    layout = WindowLayout(grid=(6, 8), window=(3, 4), shift=shift)
    places = places_in_windows(layout)
    np.testing.assert_allclose(places.distances(), np.stack(list(window_distances(layout))), rtol=1e-6)
    assert places.is_patch.all()


def test_even_attention_is_spread_over_what_may_meet():
    layout = WindowLayout(grid=(6, 8), window=(3, 4), shift=(1, 2))
    places = places_in_windows(layout)
    even = places.even_weights()
    np.testing.assert_allclose(even.sum(axis=-1), 1, rtol=1e-6)
    # What only the roll has brought together lies further apart than a window reaches.
    reach = np.abs(places.offsets) < np.array([3, 4])
    np.testing.assert_array_equal(even[0, :, 0] > 0, reach.all(axis=-1))


def test_windows_of_an_image_are_averaged():
    layout = WindowLayout(grid=(4, 8), window=(4, 4), shift=(0, 2))
    places = places_in_windows(layout)
    weights = random_weights((1, 2 * 3, 5, 16, 16))[:, : 2 * layout.num_windows]
    found = np.asarray(mean_distance(weights, places))
    shares = np.asarray(weights).reshape(1, 2, 2, 5, 16, 16)
    expected = (shares * places.distances()[None, None, :, None]).sum(axis=-1).mean(axis=(2, 4))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_padding_is_no_patch():
    places = places_in_windows(WindowLayout(grid=(3, 5), window=(4, 4)))
    assert places.is_patch.sum() == 15
    assert places.is_patch.shape == (2, 16)
    to_padding = jnp.zeros((1, 2, 1, 16, 16), jnp.float32).at[..., 0].set(0.5).at[..., 15].set(0.5)
    only_first = jnp.zeros((1, 2, 1, 16, 16), jnp.float32).at[..., 0].set(1.0)
    np.testing.assert_allclose(mean_distance(to_padding, places), mean_distance(only_first, places), rtol=1e-6)


def test_rollout_of_identity_is_identity():
    weights = jnp.broadcast_to(jnp.eye(5, dtype=jnp.float32), (3, 2, 4, 5, 5))
    np.testing.assert_array_equal(rollout(weights), np.broadcast_to(np.eye(5, dtype=np.float32), (2, 5, 5)))


@pytest.mark.parametrize("layers", [1, 4])
def test_rollout_of_uniform_attention_keeps_a_half_a_layer(layers):
    found = rollout(uniform(6, layers=layers, batch=2, heads=3))
    expected = np.eye(6) * 0.5**layers + (1 - 0.5**layers) / 6
    np.testing.assert_allclose(found, np.broadcast_to(expected, (2, 6, 6)), rtol=1e-5)


def test_rollout_is_the_product_with_the_last_layer_at_the_left_and_its_rows_sum_to_1():
    weights = random_weights((3, 2, 4, 5, 5))
    found = np.asarray(rollout(weights))
    mixed = (np.asarray(weights, np.float64).mean(axis=2) + np.eye(5)) / 2
    np.testing.assert_allclose(found, mixed[2] @ mixed[1] @ mixed[0], rtol=1e-5)
    np.testing.assert_allclose(found.sum(axis=-1), 1, rtol=1e-6)


def test_the_row_of_a_patch_is_laid_out_behind_the_prefix():
    rows = np.arange(2 * 8 * 8, dtype=np.float32).reshape(2, 8, 8)
    found = row_on_grid(rows, (1, 2), grid=(2, 3), prefix_tokens=2)
    np.testing.assert_array_equal(found, rows[:, 7, 2:].reshape(2, 2, 3))
    with pytest.raises(ConfigError, match="outside the grid"):
        row_on_grid(rows, (2, 0), grid=(2, 3), prefix_tokens=2)


def test_jit_changes_nothing():
    weights, places = random_weights((1, 2, 3, 7, 7)), places_on_grid((2, 3), prefix_tokens=1)
    compiled = jax.jit(lambda given: mean_distance(given, places, patch_size=(4.0, 4.0)))(weights)
    np.testing.assert_allclose(compiled, 4 * mean_distance(weights, places), rtol=1e-5)


def test_json_has_a_record_a_layer():
    layer = LayerAttention(
        distance=np.array([1.0]),
        distance_px=np.array([16.0]),
        entropy=np.array([0.5]),
        even_distance_px=20.0,
        even_entropy=math.log(4),
        patch_size=(16, 16),
    )
    record = ImageAttention(
        layers=(layer, layer),
        num_images=3,
        photos=np.zeros((1, 32, 32, 3), np.uint8),
        token=(0, 1),
        rollout=None,
        class_rollout=None,
    ).to_json()
    assert json.loads(json.dumps(record))["layers"][1] == {
        "layer": 1,
        "distance": [1.0],
        "distance_px": [16.0],
        "entropy": [0.5],
        "even_distance_px": 20.0,
        "even_entropy": math.log(4),
        "patch_size": [16, 16],
    }
