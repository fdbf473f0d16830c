"""Masks of instances: what the mask head learns in a box, and a predicted one in its image."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from gauss_vit.ops.detection.boxes import clip
from gauss_vit.ops.detection.roi_align import roi_align_adaptive


def mask_target(
    bitmap: Bool[Array, "height width"], yxyx: Float[Array, "boxes 4"], *, size: int
) -> Bool[Array, "boxes size size"]:
    """Samples the mask of one object in some boxes: cells that it covers by at least half.

    Args:
      bitmap: mask of the object in the image.
      yxyx: boxes, clipped to the image here.
      size: number of cells along each side.

    Source: MMDetection `BitmapMasks.crop_and_resize`.
    """
    height, width = bitmap.shape
    clipped = clip(yxyx, jnp.asarray((height, width), jnp.float32))
    share = roi_align_adaptive(bitmap[..., None].astype(jnp.float32), clipped, stride=1, bins=size)
    return share[..., 0] >= 0.5


def paste(
    probability: Float[np.ndarray, "size size"],
    yxyx: Float[np.ndarray, "4"],
    image_size: tuple[int, int],
    *,
    threshold: float = 0.5,
) -> Bool[np.ndarray, "height width"]:
    """Draws a predicted mask into its image, on the host: pixels whose centre has at least the threshold.

    Args:
      probability: mask in the box, in 0..1, interpolated between the centres of its cells and zero outside.
      yxyx: box in pixels of the image.
      image_size: (height, width) of the image in pixels.
      threshold: probability from which a pixel belongs to the object.

    Source: MMDetection `_do_paste_mask`.
    """
    height, width = image_size
    y0, x0, y1, x1 = yxyx.astype(np.float64)
    rows = _sampling_matrix(y0, y1, pixels=height, cells=len(probability))
    columns = _sampling_matrix(x0, x1, pixels=width, cells=len(probability))
    return rows @ probability.astype(np.float64) @ columns.T >= threshold


def _sampling_matrix(low: float, high: float, *, pixels: int, cells: int) -> Float[np.ndarray, "pixels cells"]:
    """Computes the weights of a box's cells at the centre of every pixel along an axis; zeros without a side."""
    if high <= low:
        return np.zeros((pixels, cells))
    at = (np.arange(pixels) + 0.5 - low) / (high - low) * cells - 0.5
    return np.maximum(1 - np.abs(at[:, None] - np.arange(cells)), 0)
