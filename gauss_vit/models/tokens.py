"""Patch embeddings, learned tokens and absolute positions."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.errors import ConfigError
from gauss_vit.models.layers import Linear
from gauss_vit.models.stage import Stage
from gauss_vit.ops.grid import Grid, num_patches
from gauss_vit.position.absolute import AbsoluteEmbedding


def check_image_size(images: Float[Array, "batch height width 3"], size: tuple[int, int]) -> None:
    """Checks that images have the (height, width) of a model.

    Raises:
      ConfigError: they have another.
    """
    if images.shape[1:3] != size:
        raise ConfigError(
            f"the model takes images of {size}, got {images.shape[1:3]}",
            do="set image_size; a dense head can predict from windows of that crop, with inference.mode=slide",
        )


def patch_embedding(patch_size: Grid, width: int, *, key: PRNGKeyArray, use_bias: bool = True) -> Linear:
    """Draws the linear map from a patch to `width` channels, with PyTorch's default initialiser, as in timm."""
    return Linear(3 * num_patches(patch_size), width, start="fan_in_uniform", key=key, use_bias=use_bias)


def learned_tokens(width: int, *, key: PRNGKeyArray, count: int = 1) -> nnx.Param | None:
    """Draws learned tokens [1, count, width] from a normal distribution of standard deviation 1e-6, as in timm.

    There is no parameter for a count of 0.
    """
    if count == 0:
        return None
    return nnx.Param(jax.random.normal(key, (1, count, width), jnp.float32) * jnp.float32(1e-6))


def repeated(
    learned: nnx.Param, tokens: Float[Array, "batch tokens channels"]
) -> Float[Array, "batch learned channels"]:
    """Repeats learned tokens for every example, in the dtype of the tokens."""
    values = learned[...].astype(tokens.dtype)
    return jnp.broadcast_to(values, (tokens.shape[0], *values.shape[1:]))


def position_embedding(absolute: AbsoluteEmbedding | None, stage: Stage, *, key: PRNGKeyArray) -> nnx.Param | None:
    """Draws the embedding [tokens, width] of the positions in a stage; None if there is none."""
    if absolute is None or stage.width is None:
        return None
    return nnx.Param(absolute.init(key, grid=stage.grid, prefix_tokens=stage.prefix_tokens, width=stage.width))


def joined(
    patches: Float[Array, "batch patches channels"],
    learned: Sequence[nnx.Param | None],
    *,
    position: nnx.Param | None,
    embeds_prefix: bool,
) -> Float[Array, "batch tokens channels"]:
    """Puts learned tokens before the patches, in their order, and adds positions.

    Args:
      patches: Embedded patches.
      learned: Tokens [1, count, channels]; None is left out.
      position: Embedding [tokens, channels]; None adds nothing.
      embeds_prefix: Whether learned tokens have a position, too.
    """
    first = patches if embeds_prefix else _plus(patches, position)
    prefix = [repeated(each, patches) for each in learned if each is not None]
    tokens = jnp.concatenate([*prefix, first], axis=1) if prefix else first
    return _plus(tokens, position) if embeds_prefix else tokens


def _plus(
    tokens: Float[Array, "batch tokens channels"], position: nnx.Param | None
) -> Float[Array, "batch tokens channels"]:
    if position is None:
        return tokens
    return tokens + jnp.broadcast_to(position[...].astype(tokens.dtype), tokens.shape)
