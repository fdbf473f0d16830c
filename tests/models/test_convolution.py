"""Batch normalisation in training and inference, on one device and on eight; the start of convolutions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gauss_vit.errors import ConfigError
from gauss_vit.models.convolution import BatchNorm, BiasedConvolution, ConvolutionBlock, PixelClassifier, Upsampling
from gauss_vit.ops.initializers import xavier_uniform

KEY = jax.random.key(0)


def maps_of(shape, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape) * 2 + 1, dtype)


@jax.jit
def trained(layer, maps):
    """One forward pass in training, and the layer after it."""
    outputs = layer(maps, key=KEY)
    return outputs, nnx.to_pure_dict(nnx.state(layer, nnx.BatchStat))


def test_running_statistics_follow_the_unbiased_ones_of_a_batch():
    layer, maps = BatchNorm(3), maps_of((4, 2, 5, 3))
    layer.mean[...], layer.variance[...] = jnp.full((3,), 0.5, jnp.float32), jnp.full((3,), 2.0, jnp.float32)
    _, running = trained(layer, maps)
    exact = np.asarray(maps, np.float64)
    np.testing.assert_allclose(running["mean"], 0.9 * 0.5 + 0.1 * exact.mean(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(running["variance"], 0.9 * 2.0 + 0.1 * exact.var(axis=(0, 1, 2), ddof=1), rtol=1e-6)


def test_training_uses_the_batch_and_inference_the_running_statistics():
    layer, maps = BatchNorm(3), maps_of((4, 2, 5, 3))
    outputs, _ = trained(layer, maps)
    np.testing.assert_allclose(np.mean(outputs, axis=(0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(np.std(outputs, axis=(0, 1, 2)), 1, rtol=1e-5)
    # The initial ones are mean 0 and variance 1.
    np.testing.assert_allclose(layer(maps), maps / np.sqrt(1 + 1e-5), rtol=1e-6)


def test_statistics_are_not_parameters():
    assert set(nnx.to_pure_dict(nnx.state(BatchNorm(3), nnx.Param))) == {"scale", "bias"}
    assert set(nnx.to_pure_dict(nnx.state(BatchNorm(3), nnx.BatchStat))) == {"mean", "variance"}


def test_eight_devices_share_the_statistics_of_the_whole_batch():
    layer, maps = BatchNorm(3), maps_of((8, 2, 5, 3))
    mesh = Mesh(jax.devices()[:8], ("data",))
    split = jax.device_put(maps, NamedSharding(mesh, PartitionSpec("data")))
    one, many = trained(layer, maps), trained(layer, split)
    for left, right in zip(jax.tree.leaves(one), jax.tree.leaves(many), strict=True):
        np.testing.assert_allclose(left, right, rtol=0, atol=1e-6)


def test_one_value_for_a_channel_has_no_variance():
    with pytest.raises(ConfigError, match="more than one value"):
        BatchNorm(3)(maps_of((1, 1, 1, 3)), key=KEY)
    assert BatchNorm(3)(maps_of((1, 1, 1, 3))).shape == (1, 1, 1, 3)


def test_half_precision_keeps_statistics_in_float32():
    layer, maps = BatchNorm(3), maps_of((4, 2, 5, 3), jnp.bfloat16)
    outputs, running = trained(layer, maps)
    assert outputs.dtype == jnp.bfloat16
    exact = np.asarray(maps, np.float64)
    np.testing.assert_allclose(running["mean"], 0.1 * exact.mean(axis=(0, 1, 2)), rtol=1e-5)


def test_kernels_start_as_mmcv_and_mmsegmentation_draw_them():
    block, classifier = ConvolutionBlock(20, 30, size=3, key=KEY), PixelClassifier(40, 50, key=KEY)
    kernel, logits = block.convolution.kernel[...], classifier.kernel[...]
    # The standard deviation of n draws is known to 1 / sqrt(2 n): four of these.
    np.testing.assert_allclose(np.std(kernel), np.sqrt(2 / (9 * 30)), rtol=4 / np.sqrt(2 * kernel.size))
    np.testing.assert_allclose(np.std(logits), 0.01, rtol=4 / np.sqrt(2 * logits.size))
    np.testing.assert_array_equal(classifier.bias[...], 0)


def test_logits_are_float32_and_the_block_ends_with_a_relu():
    maps = maps_of((2, 3, 4, 6), jnp.bfloat16)
    block, classifier = ConvolutionBlock(6, 5, size=3, key=KEY), PixelClassifier(6, 7, key=KEY)
    outputs = block(maps)
    assert outputs.dtype == jnp.bfloat16
    assert 0 == outputs.min() < outputs.max()
    assert classifier(maps).dtype == jnp.float32


def test_a_pixel_is_mapped_to_two_by_two_pixels():
    layer = Upsampling(xavier_uniform(KEY, (2, 2, 4, 3)))
    layer.bias[...] = jnp.asarray([1.0, -1.0, 0.5], jnp.float32)
    maps = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 2, 4)), jnp.float32)
    expected = np.empty((2, 6, 4, 3))
    for row in range(2):
        for column in range(2):
            kernel = np.asarray(layer.kernel[row, column], np.float64)
            expected[:, row::2, column::2] = np.asarray(maps) @ kernel + np.asarray(layer.bias[...])
    np.testing.assert_allclose(layer(maps), expected, rtol=0, atol=1e-5)


def test_a_bias_is_added_to_what_the_kernel_gives():
    layer, maps = BiasedConvolution(jnp.ones((3, 3, 2, 1))), jnp.ones((1, 3, 4, 2), jnp.bfloat16)
    layer.bias[...] = jnp.asarray([0.5], jnp.float32)
    outputs = layer(maps)
    assert outputs.dtype == jnp.bfloat16
    np.testing.assert_array_equal(outputs[0, :, :, 0], 2 * np.outer([2, 3, 2], [2, 3, 3, 2]) + 0.5)
