"""Horizontal flips of some images of a batch, with the masks and boxes among their targets."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree, UInt8

from gauss_vit.batches import Batch, Boxes, Mask, is_geometry


def flip(
    images: UInt8[Array, "batch height width channels"], is_flipped: Bool[Array, " batch"]
) -> UInt8[Array, "batch height width channels"]:
    """Flips the chosen images horizontally; no value changes."""
    return jnp.where(is_flipped[:, None, None, None], images[:, :, ::-1], images)


def flip_batch(batch: Batch) -> Batch:
    """Flips the images that a batch names, with their masks and boxes; the result names none.

    Which ones was drawn with their crops, for each example. Bytes are flipped, before they are normalised: a GPU does
    that in the same pass, a TPU reverses in one of its own, and of floats that moves four times as much.
    """
    if batch.is_flipped is None:
        return batch
    flip_node = functools.partial(_flip_node, is_flipped=batch.is_flipped, width=batch.image.shape[2])
    return dataclasses.replace(
        batch,
        image=flip(batch.image, batch.is_flipped),
        targets=jax.tree.map(flip_node, batch.targets, is_leaf=is_geometry),
        is_flipped=None,
    )


def flip_boxes(
    yxyx: Float[Array, "batch boxes 4"], is_flipped: Bool[Array, " batch"], *, width: int
) -> Float[Array, "batch boxes 4"]:
    """Exchanges left and right of boxes in images of that width; rows of zeros, which are not boxes, stay."""
    y0, x0, y1, x1 = jnp.moveaxis(yxyx, -1, 0)
    flipped = jnp.stack([y0, width - x1, y1, width - x0], axis=-1)
    is_moved = is_flipped[:, None] & (y1 > y0) & (x1 > x0)
    return jnp.where(is_moved[..., None], flipped, yxyx)


def _flip_node(node: PyTree, *, is_flipped: Bool[Array, " batch"], width: int) -> PyTree:
    if isinstance(node, Mask):
        values = jnp.where(is_flipped[:, None, None], node.values[:, :, ::-1], node.values)
        return dataclasses.replace(node, values=values)
    if isinstance(node, Boxes):
        return Boxes(yxyx=flip_boxes(node.yxyx, is_flipped, width=width))
    return node
