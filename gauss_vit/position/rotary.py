"""Rotary position embeddings: queries and keys are rotated by angles that grow with the row and the column of a patch.

The channels of a head form pairs, and pair p of the patch at (y, x) is turned by the angle

  angle[h, y, x, p] = frequency[0, h, p] y + frequency[1, h, p] x

so that the product of a rotated query and a rotated key depends on their positions only through the offset between
them. No table over offsets expresses it, since it multiplies what the tokens say. Prefix tokens are not rotated.

Source: Su et al., RoFormer (arXiv 2104.09864), equation 16; Heo et al., Rotary Position Embedding for Vision
Transformer (ECCV 2024, arXiv 2403.13298), section 3.
"""

from abc import ABC, abstractmethod
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.ops.grid import Grid
from gauss_vit.position.term import TermParams

Layout = Literal["interleaved", "half"]
"""The channels of a pair: neighbours, 2 p and 2 p + 1, or "half" a head apart, p and p + channels / 2."""


class Rotary(ABC):
    """A rotary embedding as a value: a frozen dataclass that derives from this class.

    A rotary embedding must define its frequencies. Parameters, coordinates and layout have a default here.
    """

    def init(self, key: PRNGKeyArray, *, num_heads: int, channels: int) -> dict[str, Array]:
        """Draws its parameters for one layer, in float32, for heads of so many channels; by default it has none."""
        del key, num_heads, channels
        return {}

    @abstractmethod
    def frequencies(self, params: TermParams, *, channels: int) -> Float[Array, "2 #heads pairs"]:
        """Computes the angles of every pair of channels per unit of y and of x, in radians and in float32."""

    def places(self, grid: Grid) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " columns"]]:
        """Returns y of every row and x of every column of patches: by default their indices."""
        rows, columns = (np.arange(side, dtype=np.float32) for side in grid)
        return rows, columns

    @property
    def layout(self) -> Layout:
        """Which channels form a pair."""
        return "interleaved"

    def zero(self, params: TermParams) -> dict[str, Array]:
        """Returns new values of the parameters with which nothing is rotated: by default zeros for all."""
        return {name: jnp.zeros_like(leaf) for name, leaf in params.items()}

    @property
    def undecayed(self) -> tuple[str, ...]:
        """Names of its parameters that are never weight-decayed."""
        return ()


def angles(
    rotary: Rotary, params: TermParams, grid: Grid, *, channels: int, prefix_tokens: int = 0
) -> Float[Array, "#heads tokens pairs"]:
    """Computes the angle of every pair of channels of every token, in radians and in float32; 0 for prefix tokens.

    Args:
      rotary: The rotary embedding.
      params: Its parameters, of one layer.
      grid: The (height, width) of the patches.
      channels: Number of channels of a head.
      prefix_tokens: Number of tokens before the patches.
    """
    down, across = rotary.frequencies(params, channels=channels)[:, :, None, None]
    rows, columns = rotary.places(grid)
    shape = (down.shape[0], *grid, down.shape[-1])
    by_row = jnp.broadcast_to(down * jnp.asarray(rows)[None, :, None, None], shape)
    by_column = jnp.broadcast_to(across * jnp.asarray(columns)[None, None, :, None], shape)
    of_patches = (by_row + by_column).reshape(shape[0], -1, shape[-1])
    return jnp.pad(of_patches, ((0, 0), (prefix_tokens, 0), (0, 0)))


def rotate(
    values: Float[Array, "batch tokens heads channels"],
    turned: Float[Array, "#heads tokens pairs"],
    *,
    layout: Layout,
) -> Float[Array, "batch tokens heads channels"]:
    """Turns every pair of channels by its angle, in float32; returns the type of the values.

    Args:
      values: Queries or keys.
      turned: Angles in radians, see `angles`.
      layout: Which channels form a pair.
    """
    pairs = values.shape[-1] // 2
    axis, split = (-1, (pairs, 2)) if layout == "interleaved" else (-2, (2, pairs))
    apart = values.astype(jnp.float32).reshape(*values.shape[:-1], *split)
    first, second = (jax.lax.index_in_dim(apart, which, axis, keepdims=False) for which in (0, 1))
    of_tokens = jnp.swapaxes(turned, 0, 1)[None]
    cosine, sine = (jnp.broadcast_to(each, first.shape) for each in (jnp.cos(of_tokens), jnp.sin(of_tokens)))
    both = jnp.stack([first * cosine - second * sine, second * cosine + first * sine], axis=axis)
    return both.reshape(values.shape).astype(values.dtype)
