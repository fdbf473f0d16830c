"""Convolutions of feature maps, in the type of the activations."""

import jax
from jaxtyping import Array, Float

from gauss_vit.ops.dense import dense


def convolve(
    maps: Float[Array, "batch rows columns inputs"], kernel: Float[Array, "height width inputs outputs"]
) -> Float[Array, "batch rows columns outputs"]:
    """Correlates maps with a kernel of odd sides, padded with zeros so that they keep their size.

    A kernel of one pixel is a dense layer, and computed as one. The kernel is converted to the type of the maps. So is
    the gradient of a larger kernel.

    Source: torch `conv2d` with `padding=kernel_size // 2`.
    """
    height, width = kernel.shape[:2]
    if (height, width) == (1, 1):
        return dense(maps, kernel[0, 0])
    return jax.lax.conv_general_dilated(
        maps,
        kernel.astype(maps.dtype),
        window_strides=(1, 1),
        padding=[(height // 2, height // 2), (width // 2, width // 2)],
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
