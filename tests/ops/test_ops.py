"""Pure functions of arrays against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.ops.canvas import is_inside
from gauss_vit.ops.dense import dense
from gauss_vit.ops.dropout import dropout, dropout_channels, split_key, stochastic_depth
from gauss_vit.ops.grid import grid_of, num_patches, offset_shape
from gauss_vit.ops.initializers import fan_in_uniform, truncated_normal, xavier_uniform
from gauss_vit.ops.layer_norm import layer_norm
from gauss_vit.ops.losses import cross_entropy, masked_sum
from gauss_vit.ops.patches import pad_to_patches, patchify

KEY = jax.random.key(0)


def normal(*shape, dtype=jnp.float32):
    return jax.random.normal(jax.random.key(sum(shape)), shape, dtype)


def test_dense_is_a_product_and_a_shift():
    inputs, kernel, bias = normal(2, 3, 4), normal(4, 5), normal(5)
    product = np.asarray(inputs) @ np.asarray(kernel)
    np.testing.assert_allclose(dense(inputs, kernel, bias), product + np.asarray(bias), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(dense(inputs, kernel), product, rtol=1e-5, atol=1e-6)


def test_dense_keeps_bfloat16_in_both_directions():
    inputs, kernel = normal(2, 4, dtype=jnp.bfloat16), normal(4, 5)
    gradient = jax.jit(jax.grad(lambda x, k: jnp.sum(dense(x, k)), argnums=(0, 1)))
    products = [line for line in gradient.lower(inputs, kernel).as_text().splitlines() if "dot_general" in line]
    assert len(products) >= 2
    assert all(line.partition(" : (")[2].partition(")")[0].count("bf16") == 2 for line in products)


@pytest.mark.parametrize("batch", [(), (6,), (2, 3), (2, 3, 7)])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_the_gradient_of_a_kernel_is_the_float32_sum_of_outer_products(batch, dtype):
    inputs, kernel, weights = normal(*batch, 4, dtype=dtype), normal(4, 5), normal(*batch, 5, dtype=dtype)
    _, pull_back = jax.vjp(dense, inputs, kernel)
    to_inputs, to_kernel = pull_back(weights)
    rows, outer = (np.asarray(values, np.float64).reshape(-1, values.shape[-1]) for values in (inputs, weights))
    assert (to_inputs.dtype, to_kernel.dtype) == (dtype, jnp.float32)
    np.testing.assert_allclose(to_kernel, rows.T @ outer, rtol=1e-5, atol=1e-5)
    rounded = np.asarray(kernel.astype(dtype), np.float64)
    np.testing.assert_allclose(
        np.asarray(to_inputs, np.float64), (outer @ rounded.T).reshape(inputs.shape), rtol=1e-2, atol=1e-2
    )


def test_layer_norm_has_mean_zero_and_variance_one():
    inputs = normal(3, 50) * 4 + 2
    normal_form = layer_norm(inputs, jnp.ones(50), jnp.zeros(50), epsilon=1e-6)
    np.testing.assert_allclose(jnp.mean(normal_form, axis=-1), 0, atol=1e-6)
    np.testing.assert_allclose(jnp.var(normal_form, axis=-1), 1, rtol=1e-4)


def test_layer_norm_scales_and_shifts_by_channel():
    inputs, scale, bias = normal(2, 3, 6), normal(6), normal(6)
    values = np.asarray(inputs, np.float64)
    centered = values - values.mean(-1, keepdims=True)
    expected = centered / np.sqrt(values.var(-1, keepdims=True) + 1e-5) * np.asarray(scale) + np.asarray(bias)
    np.testing.assert_allclose(layer_norm(inputs, scale, bias, epsilon=1e-5), expected, rtol=1e-4, atol=1e-5)


def test_layer_norm_computes_its_statistics_in_float32():
    inputs = (normal(4, 64) + 100).astype(jnp.bfloat16)
    half = layer_norm(inputs, jnp.ones(64), jnp.zeros(64), epsilon=1e-6)
    exact = layer_norm(inputs.astype(jnp.float32), jnp.ones(64), jnp.zeros(64), epsilon=1e-6)
    assert half.dtype == jnp.bfloat16
    np.testing.assert_array_equal(half, exact.astype(jnp.bfloat16))


def test_dropout_keeps_the_mean_and_needs_a_key():
    ones = jnp.ones((200, 200))
    assert dropout(ones, rate=0.3, key=None) is ones
    assert dropout(ones, rate=0.0, key=KEY) is ones
    dropped = dropout(ones, rate=0.3, key=KEY)
    np.testing.assert_allclose(np.unique(dropped), [0, 1 / 0.7], rtol=1e-6)
    assert float(jnp.mean(dropped)) == pytest.approx(1, abs=0.02)


def test_keys_are_those_of_a_split_and_only_the_used_are_computed():
    keys = split_key(KEY, 3)
    np.testing.assert_array_equal(
        [jax.random.key_data(key) for key in keys], jax.random.key_data(jax.random.split(KEY, 3))
    )
    assert split_key(None, 3) == [None, None, None]
    hashes = {num: jax.jit(lambda key, num=num: split_key(key, num)[0]).lower(KEY).compile() for num in (1, 9)}
    assert hashes[1].cost_analysis()["flops"] == hashes[9].cost_analysis()["flops"]


def test_stochastic_depth_drops_whole_examples():
    branch = jnp.ones((400, 2, 3))
    dropped = np.asarray(stochastic_depth(branch, rate=jnp.float32(0.25), key=KEY))
    assert set(np.unique(dropped.reshape(400, -1).std(axis=1))) == {0.0}
    assert dropped.mean() == pytest.approx(1, abs=0.1)
    assert stochastic_depth(branch, rate=jnp.float32(0.25), key=None) is branch


def test_dropout_of_channels_drops_them_everywhere_in_an_image():
    maps = jnp.ones((40, 2, 3, 10), jnp.float32)
    dropped = np.asarray(dropout_channels(maps, rate=0.25, key=KEY))
    assert set(np.unique(dropped.std(axis=(1, 2)))) == {0.0}
    np.testing.assert_allclose(np.unique(dropped), [0, 1 / 0.75], rtol=1e-6)
    # Four standard deviations of the mean of 400 draws.
    assert dropped.mean() == pytest.approx(1, abs=4 * np.sqrt(0.25 / 0.75 / 400))
    assert dropout_channels(maps, rate=0.25, key=None) is maps


def test_truncated_normal_is_cut_at_two_not_at_two_deviations():
    drawn = truncated_normal(KEY, (100_000,), std=1.0)
    assert float(jnp.abs(drawn).max()) <= 2
    assert float(jnp.std(drawn)) == pytest.approx(0.88, abs=0.005)
    assert float(jnp.std(truncated_normal(KEY, (100_000,), std=0.02))) == pytest.approx(0.02, rel=0.01)
    assert float(jnp.abs(truncated_normal(KEY, (100_000,), std=0.02)).max()) > 0.05
    assert not np.any(truncated_normal(KEY, (3,), std=0.0))


def test_fan_in_uniform_fills_its_interval():
    drawn = fan_in_uniform(KEY, (10_000,), fan_in=16)
    assert float(jnp.abs(drawn).max()) <= 0.25
    assert float(jnp.std(drawn)) == pytest.approx(0.25 / 3**0.5, rel=0.02)


def test_xavier_uniform_has_the_variance_of_fan_in_and_fan_out():
    dense, kernel = xavier_uniform(KEY, (60, 40)), xavier_uniform(KEY, (3, 3, 20, 30))
    # The standard deviation of n uniform draws is known to 0.45 / sqrt(n): four of these.
    for drawn, variance in ((dense, 2 / 100), (kernel, 2 / (9 * 50))):
        np.testing.assert_allclose(np.std(drawn), np.sqrt(variance), rtol=1.8 / np.sqrt(drawn.size))
        assert float(jnp.abs(drawn).max()) <= np.sqrt(3 * variance)


def test_pixels_of_an_image_are_in_the_corner_of_its_canvas():
    inside = np.asarray(is_inside(jnp.asarray([[2, 3], [0, 4], [5, 6]], jnp.int32), (3, 4)))
    assert inside[0].tolist() == [[True, True, True, False], [True, True, True, False], [False] * 4]
    assert not inside[1].any() and inside[2].all()


@pytest.mark.parametrize("patch", [(2, 2), (2, 3), (4, 6)])
def test_patches_are_cut_row_by_row(patch):
    images = normal(2, 4, 6, 3)
    patches = patchify(images, patch)
    rows, columns = grid_of((4, 6), patch)
    for row in range(rows):
        for column in range(columns):
            cut = images[:, row * patch[0] : (row + 1) * patch[0], column * patch[1] : (column + 1) * patch[1]]
            np.testing.assert_array_equal(patches[:, row * columns + column], cut.reshape(2, -1))


def test_images_are_padded_with_zeros_to_whole_patches():
    images = normal(2, 5, 8, 3)
    padded = pad_to_patches(images, (3, 4))
    np.testing.assert_array_equal(padded, np.pad(images, ((0, 0), (0, 1), (0, 0), (0, 0))))


def test_grids_count_patches_and_offsets():
    assert grid_of((160, 288), (16, 16)) == (10, 18)
    assert num_patches((10, 18)) == 180
    assert offset_shape((10, 18)) == (19, 35)


def test_an_image_that_patches_do_not_tile_is_refused_with_a_size_that_works():
    with pytest.raises(ConfigError, match="width 230 is not divisible by patch width 16") as caught:
        grid_of((224, 230), (16, 16))
    assert caught.value.do == "choose 224, for example"


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_equals_its_definition(smoothing):
    logits, label = normal(4, 7), jnp.asarray([0, 6, 3, 3], jnp.int32)
    target = np.full((4, 7), smoothing / 7)
    target[np.arange(4), np.asarray(label)] += 1 - smoothing
    values = np.asarray(logits, np.float64)
    expected = -(target * (values - np.log(np.exp(values).sum(-1, keepdims=True)))).sum(-1)
    np.testing.assert_allclose(cross_entropy(logits, label, label_smoothing=smoothing), expected, rtol=1e-5)


def test_cross_entropy_is_finite_for_huge_logits():
    logits = jnp.asarray([[1e4, -1e4]], jnp.bfloat16)
    loss = cross_entropy(logits, jnp.asarray([1], jnp.int32))
    assert loss.dtype == jnp.float32
    assert float(loss[0]) == pytest.approx(2e4, rel=0.01)


def test_masked_sum_counts_only_what_is_real():
    values = jnp.asarray([1.0, 2.0, 100.0])
    assert [float(value) for value in masked_sum(values, jnp.asarray([True, True, False]))] == [3.0, 2.0]
    assert [float(value) for value in masked_sum(values, jnp.zeros(3, bool))] == [0.0, 0.0]
