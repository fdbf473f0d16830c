"""Masks of instances: what the mask head learns in a box, and a predicted one in its image."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt8

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


def cropped_mask_target(
    crops: UInt8[Array, "objects cells cells"],
    crop_yxyx: Float[Array, "objects 4"],
    yxyx: Float[Array, "objects 4"],
    *,
    size: int,
) -> Bool[Array, "objects size size"]:
    """Does the same for masks that are kept over a box each: cells that the object covers by at least half.

    It is as exact as the cells of the crop are small. An image of 800 x 1344 pixels with 100 objects has 13 MB of
    bitmaps and 1.3 MB of crops.

    Args:
      crops: share of every cell of a box that its object covers, 0..255 for 0..1; outside the box there is nothing.
      crop_yxyx: the boxes of the crops, with an area.
      yxyx: for each object, a box whose sides are at most twice those of the crop's, as those of boxes that overlap it
        by half are.
      size: number of cells along each side of the result.
    """
    cells = crops.shape[1]
    corner, sides = crop_yxyx[:, None, :2], crop_yxyx[:, None, 2:] - crop_yxyx[:, None, :2]
    # In cells of the crop, which a rim of zeros surrounds.
    boxes = (yxyx.reshape(-1, 2, 2) - corner) / sides * cells + 1
    rimmed = jnp.pad(crops.astype(jnp.float32) / 255, ((0, 0), (1, 1), (1, 1)))[..., None]
    most_samples = -(-2 * cells // size)

    def share(crop: Float[Array, "rows columns 1"], box: Float[Array, "4"]) -> Float[Array, "size size 1"]:
        return roi_align_adaptive(crop, box[None], stride=1, bins=size, most_samples=most_samples)[0]

    return jax.vmap(share)(rimmed, boxes.reshape(-1, 4))[..., 0] >= 0.5


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
      threshold: probability above 0 from which a pixel belongs to the object.

    Source: MMDetection `_do_paste_mask`.
    """
    y0, x0, y1, x1 = yxyx.astype(np.float64).tolist()
    (rows, down), (columns, across) = (
        _sampling_matrix(low, high, pixels=pixels, cells=len(probability))
        for low, high, pixels in ((y0, y1, image_size[0]), (x0, x1, image_size[1]))
    )
    mask = np.zeros(image_size, bool)
    mask[rows, columns] = down @ probability.astype(np.float64) @ across.T >= threshold
    return mask


def _sampling_matrix(
    low: float, high: float, *, pixels: int, cells: int
) -> tuple[slice, Float[np.ndarray, "window cells"]]:
    """Computes the weights of a box's cells at the centres of pixels along an axis, and which pixels have any."""
    if high <= low:
        return slice(0), np.zeros((0, cells))
    # Half a cell beyond the box the mask has faded to zero.
    beyond = (high - low) / cells / 2
    window = slice(max(0, math.floor(low - beyond)), max(0, min(pixels, math.ceil(high + beyond))))
    at = (np.arange(window.start, window.stop) + 0.5 - low) / (high - low) * cells - 0.5
    return window, np.maximum(1 - np.abs(at[:, None] - np.arange(cells)), 0)
