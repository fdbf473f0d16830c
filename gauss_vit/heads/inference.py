"""How the pixels of an image are predicted: from all of it or from windows, at several scales, and flipped."""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from gauss_vit.errors import ConfigError
from gauss_vit.heads.dense_logits import DenseLogits
from gauss_vit.ops.grid import Grid
from gauss_vit.ops.map_resize import bilinear_resize, size_of

Decode = Callable[[Float[Array, "batch height width 3"]], DenseLogits]


@dataclass(frozen=True, kw_only=True)
class Inference:
    """Views of an image that are predicted from.

    Of one view of the whole image the logits stay at the head's resolution. Windows are put together at the resolution
    of the image, where the logits of those that overlap are averaged; of several scales and flips the probabilities
    are.

    Attributes:
      mode: "whole" predicts an image at once, "slide" from windows of one size, which overlap.
      crop: The (height, width) of a window in pixels. A smaller image is padded with zeros, the mean colour.
      stride: The (vertical, horizontal) distance of windows in pixels; the last one is shifted back into the image.
      scales: Factors of the image's sides.
      flip: Whether each view is also predicted from its mirror image.

    Raises:
      ConfigError: a value is out of range.

    Source: MMSegmentation's `EncoderDecoder` and its `MultiScaleFlipAug`, which resizes the original image for each
    scale and averages at its size: here, both are done with the image that the evaluation has resized.
    """

    mode: Literal["whole", "slide"] = "whole"
    crop: tuple[int, int] = (512, 512)
    stride: tuple[int, int] = (341, 341)
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False

    def __post_init__(self):
        for name in ("crop", "stride"):
            if min(vars(self)[name]) < 1:
                raise ConfigError(f"{name} must be at least 1, got {vars(self)[name]}")
        if any(stride > crop for stride, crop in zip(self.stride, self.crop, strict=True)):
            raise ConfigError(f"a stride of {self.stride} leaves gaps between windows of {self.crop}")
        if not self.scales or min(self.scales) <= 0:
            raise ConfigError(f"scales must be positive, got {self.scales}")

    def run(self, decode: Decode, images: Float[Array, "batch height width 3"]) -> DenseLogits:
        """Predicts images from their views.

        Args:
          decode: Function of normalised images of one size, which may differ from call to call.
          images: Normalised images.

        Returns:
          The logits of the only view, or, from several, log-probabilities at the resolution of the images.
        """
        num_views = len(self.scales) * (1 + self.flip)
        if num_views > 1:
            # One after the other: all views of a photo with 150 classes are gigabytes.
            views = (jax.nn.log_softmax(view, axis=-1) for view in self._views(decode, images))
            return DenseLogits(logits=functools.reduce(jnp.logaddexp, views) - np.log(np.float32(num_views)))
        if self.mode == "whole" and self.scales == (1.0,):
            return decode(images)
        (view,) = self._views(decode, images)
        return DenseLogits(logits=view)

    def _views(
        self, decode: Decode, images: Float[Array, "batch height width 3"]
    ) -> Iterator[Float[Array, "batch height width classes"]]:
        """Yields the logits of each view at the resolution and in the orientation of the images."""
        for scale in self.scales:
            seen = _together([images, images[:, :, ::-1]]) if self.flip else images
            logits = bilinear_resize(self._logits(decode, seen, scale=scale), size_of(images))
            straight, *mirrored = _apart(logits, 1 + self.flip)
            yield straight
            yield from (each[:, :, ::-1] for each in mirrored)

    def _logits(
        self, decode: Decode, images: Float[Array, "batch height width 3"], *, scale: float
    ) -> Float[Array, "batch rows columns classes"]:
        """Computes the logits of resized images at their resolution."""
        size = int(images.shape[1] * scale + 0.5), int(images.shape[2] * scale + 0.5)
        resized = bilinear_resize(images, (max(size[0], 1), max(size[1], 1)))
        if self.mode == "slide":
            return slide(decode, resized, crop=self.crop, stride=self.stride)
        return bilinear_resize(decode(resized).logits, size_of(resized))


def slide(
    decode: Decode, images: Float[Array, "batch height width 3"], *, crop: Grid, stride: Grid
) -> Float[Array, "batch height width classes"]:
    """Computes logits from windows, one after the other; where windows overlap, their mean.

    Args:
      decode: Function of images of the size of a window.
      images: Normalised images.
      crop: The (height, width) of a window in pixels.
      stride: The (vertical, horizontal) distance of windows in pixels.
    """
    height, width = size_of(images)
    below, right = (max(side - image, 0) for side, image in zip(crop, (height, width), strict=True))
    padded = jnp.pad(images, ((0, 0), (0, below), (0, right), (0, 0)))
    tops, lefts = (starts(side, window, step) for side, window, step in zip(size_of(padded), crop, stride, strict=True))
    window = (len(images), *crop, images.shape[3])

    def add(total: Array, place: Int[Array, "2"]) -> tuple[Array, None]:
        zero = jnp.zeros((), jnp.int32)
        corner = (zero, place[0], place[1], zero)
        fine = bilinear_resize(decode(jax.lax.dynamic_slice(padded, corner, window)).logits, crop)
        covered = jax.lax.dynamic_slice(total, corner, fine.shape)
        return jax.lax.dynamic_update_slice(total, covered + fine, corner), None

    logits = jax.eval_shape(decode, jax.ShapeDtypeStruct(window, images.dtype)).logits
    empty = jnp.zeros((*padded.shape[:3], logits.shape[-1]), logits.dtype)
    places = jnp.asarray([(top, left) for top in tops for left in lefts], jnp.int32)
    total, _ = jax.lax.scan(add, empty, places)
    count = np.outer(coverage(tops, crop[0]), coverage(lefts, crop[1])).astype(np.float32)
    mean = total / jnp.broadcast_to(jnp.asarray(count)[None, :, :, None], total.shape)
    return mean[:, :height, :width]


def starts(side: int, window: int, step: int) -> Int[np.ndarray, " windows"]:
    """Returns where the windows of one axis begin, in steps; the last one ends with the side.

    >>> starts(10, 4, 4).tolist(), starts(4, 4, 3).tolist()
    ([0, 4, 6], [0])
    """
    return np.minimum(np.arange(-(-(side - window) // step) + 1) * step, side - window)


def coverage(first: Int[np.ndarray, " windows"], window: int) -> Int[np.ndarray, " side"]:
    """Counts the windows over every pixel of one axis, which the last window ends.

    >>> coverage(np.array([0, 4, 6]), 4).tolist()
    [1, 1, 1, 1, 1, 1, 2, 2, 1, 1]
    """
    pixels = np.arange(first[-1] + window)
    return np.sum((first[:, None] <= pixels) & (pixels < first[:, None] + window), axis=0)


def _together(views: Sequence[Float[Array, "batch height width 3"]]) -> Float[Array, "views height width 3"]:
    """Puts views of the same images into one batch: those of an image in succession, so that no device sends any."""
    return jnp.stack(views, axis=1).reshape(-1, *views[0].shape[1:])


def _apart(
    maps: Float[Array, "views rows columns classes"], num_views: int
) -> Float[Array, "num_views batch rows columns classes"]:
    return jnp.moveaxis(maps.reshape(-1, num_views, *maps.shape[1:]), 1, 0)
