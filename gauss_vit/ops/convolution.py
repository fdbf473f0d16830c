"""Convolutions of feature maps, in the type of the activations."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gauss_vit.ops.channels import scale_channels
from gauss_vit.ops.dense import dense


def convolve(
    maps: Float[Array, "batch rows columns inputs"],
    kernel: Float[Array, "height width inputs outputs"],
    *,
    stride: int = 1,
) -> Float[Array, "batch strided_rows strided_columns outputs"]:
    """Correlates maps with a kernel of odd sides, padded with zeros so that they keep their size at a stride of 1.

    A kernel of one pixel is a dense layer, and computed as one. The kernel is converted to the type of the maps. So is
    the gradient of a larger kernel.

    Source: torch `conv2d` with `padding=kernel_size // 2`.
    """
    height, width = kernel.shape[:2]
    if (height, width, stride) == (1, 1, 1):
        return dense(maps, kernel[0, 0])
    return jax.lax.conv_general_dilated(
        maps,
        kernel.astype(maps.dtype),
        window_strides=(stride, stride),
        padding=[(height // 2, height // 2), (width // 2, width // 2)],
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def convolve_channels(
    maps: Float[Array, "batch rows columns channels"], kernel: Float[Array, "height width channels"]
) -> Float[Array, "batch rows columns channels"]:
    """Correlates every channel with a kernel of its own, of odd sides; zeros are padded so that maps keep their size.

    It is written as a sum of shifted maps, in float32: compilers fuse it to one pass, and have no fast convolution of
    single channels on a CPU.

    Source: torch `conv2d` with `groups` equal to the number of channels and `padding=kernel_size // 2`.
    """
    height, width = kernel.shape[:2]
    rows, columns = maps.shape[1:3]
    sides = ((0, 0), (height // 2, height // 2), (width // 2, width // 2), (0, 0))
    padded = jnp.pad(maps.astype(jnp.float32), sides)
    shifted = [
        scale_channels(padded[:, y : y + rows, x : x + columns], kernel[y, x])
        for y in range(height)
        for x in range(width)
    ]
    return sum(shifted[1:], shifted[0]).astype(maps.dtype)
