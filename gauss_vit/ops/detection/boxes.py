"""Boxes (y0, x0, y1, x1) in pixels: overlap, clipping, and the code of one box relative to another.

The pixel in row i and column j is the box (i, j, i + 1, j + 1). All arithmetic is in float32.
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

Yxyx = Float[Array, "*boxes 4"]
Other = Float[Array, "*#boxes 4"]
"""Boxes of a shape that broadcasts with that of the other boxes of a function."""

LARGEST_GROWTH = math.log(1000 / 16)
"""Largest change of the logarithm of a side that `decode` follows, either way."""

_SMALLEST_UNION = 1e-6


def area(yxyx: Yxyx) -> Float[Array, "*boxes"]:
    """Computes the area of boxes, in square pixels."""
    return (yxyx[..., 2] - yxyx[..., 0]) * (yxyx[..., 3] - yxyx[..., 1])


def intersection(first: Other, second: Other) -> Float[Array, "*boxes"]:
    """Computes the area that two boxes share, of shapes that broadcast."""
    sides = jnp.minimum(first[..., 2:], second[..., 2:]) - jnp.maximum(first[..., :2], second[..., :2])
    height, width = jnp.moveaxis(jnp.maximum(sides, 0), -1, 0)
    return height * width


def iou(first: Other, second: Other) -> Float[Array, "*boxes"]:
    """Computes intersection over union, in 0..1, of shapes that broadcast; 0 for two boxes without area.

    >>> iou(jnp.array([0.0, 0.0, 2.0, 2.0]), jnp.array([0.0, 0.0, 2.0, 4.0])).item()
    0.5
    """
    shared = intersection(first, second)
    union = area(first) + area(second) - shared
    return shared / jnp.maximum(union, _SMALLEST_UNION)


def clip(yxyx: Yxyx, size: Float[Array, "*images 2"]) -> Yxyx:
    """Clips boxes to an image.

    Args:
      yxyx: boxes, with or without the leading axes of `size`, and one axis of boxes after them.
      size: (height, width) of each image, in pixels.
    """
    return jnp.clip(yxyx, 0, jnp.concatenate([size, size], axis=-1)[..., None, :])


def encode(anchors: Yxyx, yxyx: Yxyx, stds: tuple[float, float, float, float]) -> Yxyx:
    """Computes the code of boxes: (dy, dx) of their centre in sides of the anchor, (dh, dw) as logarithms of ratios.

    Args:
      anchors: boxes that the code is relative to, of positive area.
      yxyx: boxes to encode, of positive area.
      stds: standard deviations of dy, dx, dh and dw, which divide the code.

    Source: Girshick et al., R-CNN (CVPR 2014), appendix C; MMDetection `DeltaXYWHBBoxCoder`, in its order x y w h.
    """
    centre, sides = _centre_and_sides(anchors)
    other_centre, other_sides = _centre_and_sides(yxyx)
    code = jnp.concatenate([(other_centre - centre) / sides, jnp.log(other_sides / sides)], axis=-1)
    return code / _row(stds, code)


def decode(anchors: Other, code: Other, stds: tuple[float, float, float, float]) -> Yxyx:
    """Computes the boxes of a code, the inverse of `encode`; sides change by a factor of at most 62.5 either way.

    Args:
      anchors: boxes that the code is relative to; their shape and the code's broadcast.
      code: (dy, dx, dh, dw) of each box.
      stds: standard deviations that the code is multiplied by.
    """
    centre, sides = _centre_and_sides(anchors)
    shift, growth = jnp.split(code * _row(stds, code), 2, axis=-1)
    middle = centre + sides * shift
    half = sides * jnp.exp(jnp.clip(growth, -LARGEST_GROWTH, LARGEST_GROWTH)) / 2
    return jnp.concatenate([middle - half, middle + half], axis=-1)


def _row(numbers: tuple[float, ...], like: Array) -> Array:
    """Makes an array of numbers along the last axis, with as many axes as another array."""
    return jnp.asarray(numbers, jnp.float32).reshape(*(1,) * (like.ndim - 1), -1)


def _centre_and_sides(yxyx: Yxyx) -> tuple[Float[Array, "*boxes 2"], Float[Array, "*boxes 2"]]:
    low, high = jnp.split(yxyx, 2, axis=-1)
    return (low + high) / 2, high - low
