"""The feature pyramid network beside its definition, pixel by pixel."""

import jax
import jax.numpy as jnp
import numpy as np

from gauss_vit.heads.fpn import FPN, enlarged

KEY = jax.random.key(0)


def test_pixels_are_repeated_up_to_the_size_of_the_finer_map():
    maps = jnp.arange(6, dtype=jnp.float32).reshape(1, 2, 3, 1)
    expected = [[0, 0, 1, 1, 2], [0, 0, 1, 1, 2], [3, 3, 4, 4, 5]]
    np.testing.assert_array_equal(enlarged(maps, (3, 5))[0, :, :, 0], expected)


def test_finer_maps_take_up_coarser_ones_and_one_more_is_added():
    random, sizes, widths = np.random.default_rng(0), ((5, 7), (3, 4)), (3, 4)
    pyramid = tuple(
        jnp.asarray(random.normal(size=(2, *size, width)), jnp.float32)
        for size, width in zip(sizes, widths, strict=True)
    )
    network = FPN(widths, 2, key=KEY)
    for layer in (network.laterals["1"], network.smoothing["0"]):
        layer.bias[...] = jnp.asarray([0.5, -1.0], jnp.float32)
    finest, coarse, coarsest = jax.jit(lambda network, pyramid: network(pyramid))(network, pyramid)

    lateral = [
        np.asarray(maps) @ np.asarray(network.laterals[str(level)].kernel[...])[0, 0]
        for level, maps in enumerate(pyramid)
    ]
    lateral[1] = lateral[1] + np.asarray([0.5, -1.0])
    lateral[0] = lateral[0] + lateral[1].repeat(2, axis=1).repeat(2, axis=2)[:, :5, :7]
    np.testing.assert_allclose(coarse, smoothed(lateral[1], network.smoothing["1"]), atol=1e-4)
    np.testing.assert_allclose(finest, smoothed(lateral[0], network.smoothing["0"]), atol=1e-4)
    np.testing.assert_array_equal(coarsest, coarse[:, ::2, ::2])
    assert coarsest.shape == (2, 2, 2, 2)


def smoothed(maps, layer):
    """Convolves by nine shifted products."""
    kernel, padded = np.asarray(layer.kernel[...]), np.pad(maps, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows, columns = maps.shape[1:3]
    products = [padded[:, i : i + rows, j : j + columns] @ kernel[i, j] for i in range(3) for j in range(3)]
    return sum(products) + np.asarray(layer.bias[...])
