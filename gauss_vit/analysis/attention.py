"""How far attention looks: mean distance, entropy, and rollout through all layers.

Attention weights are [layers, batch, heads, query, key]; queries and keys are in the same order, prefix tokens first.
For attention in windows the batch is images by windows, windows fastest.

Distances and entropies are about patches: prefix tokens are neither queries nor keys, and each query's weights on
patches are divided by their sum. Every query counts the same, and so does every image.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float64, UInt8

from gauss_vit.analysis.token import Token, check_token
from gauss_vit.ops.grid import Grid, num_patches
from gauss_vit.ops.windows import WindowLayout

_TINY = 1e-30


@dataclass(frozen=True, kw_only=True)
class TokenPlaces:
    """Positions of the tokens of attention.

    Attributes:
      offsets: [windows, query, key, 2], key minus query as (down, right), in patches; 0 for tokens that are not
        patches. Global attention has one window.
      is_patch: whether a token is a patch of the image; prefix tokens and padding are not.
      may_meet: whether a query may attend to a key, both patches; shifted windows separate some.
    """

    offsets: Float[np.ndarray, "windows query key 2"]
    is_patch: Bool[np.ndarray, "windows tokens"]
    may_meet: Bool[np.ndarray, "windows query key"]

    def distances(self, patch_size: tuple[float, float] = (1.0, 1.0)) -> Float[np.ndarray, "windows query key"]:
        """Computes Euclidean distances; with the (height, width) of a patch in pixels, in pixels."""
        return np.linalg.norm(self.offsets * np.asarray(patch_size, np.float32), axis=-1).astype(np.float32)

    def even_weights(self) -> Float[np.ndarray, "1 windows 1 query key"]:
        """Returns attention that is uniform over the keys of each query, as a reference."""
        counts = np.maximum(self.may_meet.sum(axis=-1, keepdims=True), 1)
        return (self.may_meet / counts).astype(np.float32)[None, :, None]


def places_on_grid(grid: Grid, *, prefix_tokens: int = 0) -> TokenPlaces:
    """Places prefix tokens and the patches of a grid, row by row."""
    coordinates = np.concatenate([np.zeros((prefix_tokens, 2)), _coordinates(grid)])
    is_patch = np.arange(len(coordinates)) >= prefix_tokens
    return _places(coordinates[None], is_patch[None], mask=None)


def places_in_windows(layout: WindowLayout) -> TokenPlaces:
    """Places the tokens of every window at their origin in the map, whatever the shift; padding is not a patch."""
    marked = np.concatenate([np.ones((num_patches(layout.grid), 1)), _coordinates(layout.grid)], axis=1)
    split = np.asarray(layout.split(jnp.asarray(marked[None], jnp.float32)))
    return _places(split[..., 1:], split[..., 0] > 0, mask=layout.mask)


def mean_distance(
    weights: Float[Array, "layers batch heads query key"],
    places: TokenPlaces,
    *,
    patch_size: tuple[float, float] = (1.0, 1.0),
) -> Float[Array, "layers images heads"]:
    """Averages the distance from query to key, by weight over keys and evenly over queries.

    Args:
      weights: attention weights, rows of positive sum.
      places: positions of the tokens.
      patch_size: (height, width) of a patch in the unit of the result: pixels, or patches by default.

    Source: Dosovitskiy et al., An Image is Worth 16x16 Words (ICLR 2021), figure 7, right.
    """
    distances = jnp.asarray(places.distances(patch_size))
    is_patch = jnp.asarray(places.is_patch, jnp.float32)
    shares = _shares_of_patches(weights, places)
    summed = jnp.einsum("lbwhqk,wqk,wq->lbh", shares, distances, is_patch, precision="highest")
    return summed / jnp.sum(is_patch)


def entropy(
    weights: Float[Array, "layers batch heads query key"], places: TokenPlaces
) -> Float[Array, "layers images heads"]:
    """Averages the entropy of each query's weights on patches, in nats: 0 for one key, ln(keys) if uniform."""
    shares = _shares_of_patches(weights, places)
    terms = -shares * jnp.log(jnp.maximum(shares, _TINY))
    is_patch = jnp.asarray(places.is_patch, jnp.float32)
    return jnp.einsum("lbwhqk,wq->lbh", terms, is_patch, precision="highest") / jnp.sum(is_patch)


def rollout(weights: Float[Array, "layers batch heads query key"]) -> Float[Array, "batch query key"]:
    """Computes attention rollout from the outputs to the inputs: the product of (A + I) / 2 over all layers.

    A is the mean over heads; the identity represents the residual connection. Row i is the attention of token i of the
    last layer on the input tokens, prefix tokens among them; it sums to 1 if the rows of A do.

    Source: Abnar and Zuidema, Quantifying Attention Flow in Transformers (ACL 2020), section 3.
    """
    identity = jnp.eye(weights.shape[-1], dtype=weights.dtype)
    start = jnp.broadcast_to(identity, weights.shape[1:2] + identity.shape)

    def layer(below: Array, attention: Array) -> tuple[Array, None]:
        mixed = (jnp.mean(attention, axis=1) + jnp.broadcast_to(identity, below.shape)) / 2
        return jnp.matmul(mixed, below, precision="highest"), None

    return jax.lax.scan(layer, start, weights)[0]


def row_on_grid(
    rows: Float[np.ndarray, "batch query key"], token: Token, *, grid: Grid, prefix_tokens: int
) -> Float[np.ndarray, "batch height width"]:
    """Lays out one patch's row of attention on the grid of keys, without prefix tokens.

    Raises:
      ConfigError: the token is outside the grid.
    """
    row, column = check_token(token, grid)
    picked = rows[:, prefix_tokens + row * grid[1] + column, prefix_tokens:]
    return picked.reshape(rows.shape[0], *grid)


@dataclass(frozen=True, kw_only=True)
class LayerAttention:
    """The attention of one layer, averaged over images.

    Attributes:
      distance: mean distance of each head, in patches of this layer's map.
      distance_px: the same in pixels of the image.
      entropy: entropy of each head, in nats.
      even_distance_px: mean distance of uniform attention over the keys of each query.
      even_entropy: entropy of uniform attention.
      patch_size: (height, width) in pixels of this layer's patches.
    """

    distance: Float64[np.ndarray, " heads"]
    distance_px: Float64[np.ndarray, " heads"]
    entropy: Float64[np.ndarray, " heads"]
    even_distance_px: float
    even_entropy: float
    patch_size: Grid

    def to_json(self) -> dict[str, object]:
        """Returns the fields as JSON values, with lists over heads."""
        return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(self).items()}


@dataclass(frozen=True, kw_only=True)
class ImageAttention:
    """The attention of a model on images.

    Attributes:
      layers: all layers, from the first.
      num_images: number of images that are averaged over.
      photos: [shown, image_height, image_width, 3], the first images as the model saw them.
      token: patch of the rollout.
      rollout: [images, height, width], rollout from the token to every patch; None for attention in windows.
      class_rollout: the same for the class token; None if the blocks have none.
    """

    layers: tuple[LayerAttention, ...]
    num_images: int
    photos: UInt8[np.ndarray, "shown image_height image_width 3"]
    token: Token
    rollout: Float[np.ndarray, "images height width"] | None
    class_rollout: Float[np.ndarray, "images height width"] | None

    def to_json(self) -> dict[str, object]:
        """Returns the number of images, the token, and one record for each layer, from 0."""
        layers = [{"layer": index} | layer.to_json() for index, layer in enumerate(self.layers)]
        return {"num_images": self.num_images, "token": list(self.token), "layers": layers}


def _coordinates(grid: Grid) -> Float64[np.ndarray, "tokens 2"]:
    """Lists (row, column) of every patch, row by row."""
    return np.moveaxis(np.indices(grid), 0, -1).reshape(-1, 2).astype(np.float64)


def _places(
    coordinates: Float[np.ndarray, "windows tokens 2"],
    is_patch: Bool[np.ndarray, "windows tokens"],
    *,
    mask: Float[np.ndarray, "windows tokens tokens"] | None,
) -> TokenPlaces:
    offsets = coordinates[:, None, :, :] - coordinates[:, :, None, :]
    are_patches = is_patch[:, None, :] & is_patch[:, :, None]
    return TokenPlaces(
        offsets=np.where(are_patches[..., None], offsets, 0).astype(np.float32),
        is_patch=is_patch,
        may_meet=are_patches if mask is None else are_patches & (mask == 0),
    )


def _shares_of_patches(
    weights: Float[Array, "layers batch heads query key"], places: TokenPlaces
) -> Float[Array, "layers images windows heads query key"]:
    """Divides every query's weights on patches by their sum, in float32, with windows on a separate axis."""
    layers, _, *last = weights.shape
    split = weights.astype(jnp.float32).reshape(layers, -1, places.is_patch.shape[0], *last)
    is_key = jnp.asarray(places.is_patch)[None, None, :, None, None, :]
    kept = jnp.where(is_key, split, 0)
    total = jnp.maximum(jnp.sum(kept, axis=-1, keepdims=True), _TINY)
    return kept / jnp.broadcast_to(total, kept.shape)
