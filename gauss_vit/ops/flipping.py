"""Flips: left and right exchanged, for some images of a batch."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, UInt8


def flip(
    images: UInt8[Array, "batch height width channels"], is_flipped: Bool[Array, " batch"]
) -> UInt8[Array, "batch height width channels"]:
    """Exchanges left and right of the images that are to be flipped; every value stays as it is."""
    return jnp.where(is_flipped[:, None, None, None], images[:, :, ::-1], images)
