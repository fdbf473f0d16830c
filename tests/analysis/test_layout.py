"""Tokens are laid out on the grid that is named; images and maps with another order of axes are refused in words."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from gauss_vit.analysis import accumulate, batch_of, lower_center_token, on_grid, receptive_field
from gauss_vit.analysis.layout import check_images, grid_of
from gauss_vit.errors import ArrayError

GRID = (2, 3)
WEIGHTS = jnp.asarray(np.random.default_rng(0).uniform(0.1, 1, size=(3, 5)), jnp.float32)


def images(num_images=2):
    return np.random.default_rng(1).normal(size=(num_images, 8, 12, 3)).astype(np.float32)


def feature_map(weights, pictures):
    return jnp.tanh(pictures.reshape(-1, 2, 4, 3, 4, 3).mean(axis=(2, 4)) @ weights)


def tokens(weights, pictures):
    """The same map as tokens, behind a class token and a register."""
    patches = feature_map(weights, pictures).reshape(len(pictures), 6, 5)
    return jnp.concatenate([jnp.ones((len(pictures), 2, 5), patches.dtype), patches], axis=1)


@pytest.mark.parametrize("token", [(0, 2), (1, 0), None, lower_center_token])
def test_tokens_have_the_field_of_their_map(token):
    of_map = receptive_field(Partial(feature_map, WEIGHTS), images(), token=token)
    of_tokens = receptive_field(Partial(tokens, WEIGHTS), images(), token=token, grid=GRID, num_prefix_tokens=2)
    np.testing.assert_array_equal(of_tokens.values, of_map.values)
    assert (of_tokens.token, of_tokens.grid) == (of_map.token, GRID)


def test_center_of_convolutional_nets_is_the_lower_right_one():
    found = receptive_field(Partial(feature_map, WEIGHTS), images(1), token=lower_center_token)
    assert found.token == (1, 1)
    assert found.values[4:, 4:8].sum() == pytest.approx(1)


def test_other_weights_of_tokens_do_not_compile_again():
    num_traces = 0

    def counted(weights, pictures):
        nonlocal num_traces
        num_traces += 1
        return tokens(weights, pictures)

    for scale in (1, 2):
        features = Partial(counted, WEIGHTS * jnp.float32(scale))
        receptive_field(features, images(), grid=GRID, num_prefix_tokens=2)
        if scale == 1:
            num_traces_once = num_traces
    assert num_traces == num_traces_once


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((2, 8, 12, 3), np.uint8), r"images are uint8.*normalized pixels, such as \(\(images / 255"),
        (np.zeros((2, 3, 8, 12), np.float32), r"2x3x8x12, with their channels first.*images.transpose\(0, 2, 3, 1\)"),
        (np.zeros((8, 12, 3), np.float32), r"images are 8x12x3.*images\[None\]"),
        (np.zeros((2, 8, 12, 1), np.float32), r"images are 2x8x12x1.*RGB"),
        ([[1.0]], r"images are a list.*NumPy or JAX array"),
    ],
)
def test_images_of_another_layout_are_refused(given, message):
    with pytest.raises(ArrayError, match=message) as caught:
        check_images(given)
    assert "--" not in str(caught.value) and "LayerNorm" not in str(caught.value)


def test_refusal_comes_before_the_model_runs():
    def fails(pictures):
        raise AssertionError(pictures)

    with pytest.raises(ArrayError, match="uint8"):
        receptive_field(fails, np.zeros((2, 8, 12, 3), np.uint8))


def shaped(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (shaped(1, 197, 8), r"1x197x8, which are tokens.*grid=\(14, 14\), num_prefix_tokens=1"),
        (shaped(1, 101, 8), r"grid=\(10, 10\), num_prefix_tokens=1"),
        (shaped(1, 95, 8), r"grid=\(rows, columns\)"),
        (shaped(1, 1000), r"no rows and columns.*before pooling"),
        (shaped(1, 512, 7, 7), r"1x512x7x7, which looks like \[batch, channels, rows, columns\]"),
        (shaped(1, 64, 56, 56), r"transpose it to channels last, or declare grid=\(64, 56\)"),
        ({"last": shaped(1, 7, 7, 8)}, r"features return a dict.*one array"),
    ],
)
def test_maps_of_another_layout_are_refused(found, message):
    with pytest.raises(ArrayError, match=message):
        grid_of(found, (224, 224))


@pytest.mark.parametrize(
    ("shape", "image_size"),
    [((14, 14, 384), (224, 224)), ((7, 28, 8), (112, 448)), ((7, 7, 7), (224, 224)), ((13, 17, 3), (200, 260))],
)
def test_maps_with_channels_last_are_taken(shape, image_size):
    assert grid_of(shaped(1, *shape), image_size) == shape[:2]


def test_a_named_grid_confirms_the_layout_and_is_compared():
    assert grid_of(shaped(1, 64, 56, 56), (224, 224), grid=(64, 56)) == (64, 56)
    with pytest.raises(ArrayError, match="a map of 7 x 7, and grid is 14 x 14"):
        grid_of(shaped(1, 7, 7, 8), (224, 224), grid=(14, 14))


def wide(pictures):
    """A map of 2 x 8 patches with as many channels as the image has rows and columns of its own: ambiguous."""
    return jnp.repeat(pictures.reshape(-1, 2, 4, 8, 1, 3).mean(axis=(2, 4)), 3, axis=-1)[..., :8]


def test_layout_that_looks_wrong_is_measured_where_it_is_declared():
    pictures = np.ones((1, 8, 8, 3), np.float32)
    with pytest.raises(ArrayError, match=r"declare grid=\(2, 8\)"):
        receptive_field(wide, pictures)
    assert receptive_field(wide, pictures, grid=(2, 8)).grid == (2, 8)
    assert accumulate(on_grid(wide, (2, 8)), [batch_of(pictures)], tokens=((1, 7),)).grid == (2, 8)


def test_another_number_of_tokens_than_the_grid_has_is_refused():
    with pytest.raises(ArrayError, match=r"8 tokens, and num_prefix_tokens=0 with grid=\(2, 3\) make 6"):
        jax.eval_shape(on_grid(Partial(tokens, WEIGHTS), GRID), shaped(1, 8, 12, 3))
