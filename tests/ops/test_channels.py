"""Numbers of a channel: their gradients are sums in float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.ops.channels import scale_channels, shift_channels, sum_to_channels


def draw(seed, *shape, dtype=jnp.float32):
    return jax.random.normal(jax.random.key(seed), shape, dtype)


@pytest.mark.parametrize(
    ("function", "plain"), [(shift_channels, jnp.add), (scale_channels, jnp.multiply)], ids=["shift", "scale"]
)
def test_values_and_gradients_are_those_of_the_broadcast(function, plain):
    values, channels, cotangent = draw(0, 2, 3, 4), draw(1, 4), draw(2, 2, 3, 4)
    found, pull_back = jax.vjp(function, values, channels)
    expected, expected_back = jax.vjp(lambda v, c: plain(v, jnp.broadcast_to(c, v.shape)), values, channels)
    np.testing.assert_array_equal(found, expected)
    for one, other in zip(pull_back(cotangent), expected_back(cotangent), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("function", [shift_channels, scale_channels])
def test_gradients_of_half_precision_are_summed_in_float32(function):
    values, channels = jnp.ones((4096, 1), jnp.bfloat16), jnp.ones((1,), jnp.float32)
    outputs, pull_back = jax.vjp(function, values, channels)
    to_values, to_channels = pull_back(jnp.ones_like(outputs))
    assert (outputs.dtype, to_values.dtype, to_channels.dtype) == (jnp.bfloat16, jnp.bfloat16, jnp.float32)
    # Sums in bfloat16 stop growing at 256.
    assert float(to_channels[0]) == 4096


def test_the_sum_is_over_all_vectors():
    values = draw(0, 2, 3, 4)
    np.testing.assert_allclose(sum_to_channels(values), np.asarray(values).sum((0, 1)), rtol=1e-5)
