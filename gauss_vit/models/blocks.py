"""Transformer blocks: attention and an MLP on a residual stream."""

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray

from gauss_vit.kernels.reference import attend, attention_logits, attention_weights
from gauss_vit.models.attention import Attention, AttentionConfig
from gauss_vit.models.layers import LayerNorm, Linear, stack
from gauss_vit.models.mlp import Mlp, MlpKind
from gauss_vit.ops.channels import scale_channels
from gauss_vit.ops.dropout import split_key, stochastic_depth


@dataclass(frozen=True, kw_only=True)
class BlockConfig:
    """Config of a block.

    Attributes:
      attention: Config of its attention; width, dropout and initialiser are those of the MLP, too.
      mlp_ratio: Ratio of the hidden channels of the MLP to the width.
      mlp: Nonlinearity of the MLP.
      mlp_norm: Whether the hidden channels of the MLP are normalised before its second layer (EVA-02).
      norm: Place of normalisation: "before" each residual branch, or "after" it (SwinV2, `vit_relpos_*_rpn`).
      norm_epsilon: Constant added to the variance in every normalisation.
      layer_scale: Initial gain of each residual branch (LayerScale); None for no gain. With normalisation after the
        branch, it is the initial scale of that normalisation instead, 0 for None.
      drops_paths: Whether stochastic depth is used in training.
    """

    attention: AttentionConfig
    mlp_ratio: float = 4.0
    mlp: MlpKind = "gelu"
    mlp_norm: bool = False
    norm: Literal["before", "after"] = "before"
    norm_epsilon: float = 1e-6
    layer_scale: float | None = None
    drops_paths: bool = False


@runtime_checkable
class Layout(Protocol):
    """The arrangement of the tokens of an image for attention, for example in windows."""

    @property
    def mask(self) -> Float[np.ndarray, "windows tokens tokens"] | None:
        """Logits that mask pairs of tokens in a window; None if no pair is masked."""
        ...

    def split(self, tokens: Float[Array, "batch tokens channels"]) -> Float[Array, "windows window_tokens channels"]:
        """Splits the tokens into windows; the windows of an image are consecutive."""
        ...

    def join(self, windows: Float[Array, "windows window_tokens channels"]) -> Float[Array, "batch tokens channels"]:
        """Undoes `split`."""
        ...


class Block(nnx.Module):
    """Attention and an MLP, each normalised, scaled, and added to the residual stream.

    Parameters: `norm1`, `attention`, `norm2`, `mlp`, and, with LayerScale, `layer_scale1` and `layer_scale2` [width].
    """

    def __init__(self, config: BlockConfig, *, key: PRNGKeyArray, place: Float[Array, ""] | None = None):
        attention_key, mlp_key = jax.random.split(key)
        attention = config.attention
        # With normalisation after each branch, a scale of 0 makes the initial block the identity (SwinV2, section 3.2).
        start = (config.layer_scale or 0.0) if config.norm == "after" else 1.0
        self.norm1 = LayerNorm(attention.width, epsilon=config.norm_epsilon, start=start)
        self.attention = Attention(attention, key=attention_key, place=place)
        self.norm2 = LayerNorm(attention.width, epsilon=config.norm_epsilon, start=start)
        self.mlp = make_mlp(config, key=mlp_key)
        self.layer_scale1 = make_gain(config)
        self.layer_scale2 = make_gain(config)
        self.config = config

    def __call__(
        self,
        tokens: Float[Array, "batch tokens channels"],
        *,
        drop_rate: Float[Array, ""],
        shared: Float[Array, "#heads dy dx"] | None = None,
        layout: Layout | None = None,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "batch tokens channels"]:
        """Applies the block to the residual stream.

        Args:
          tokens: Residual stream.
          drop_rate: Stochastic-depth rate of this block.
          shared: Offset table that all blocks share, or None.
          layout: Arrangement of the tokens for attention; None for attention among all tokens of an image.
          key: Random key; None means inference.
        """
        attention_key, mlp_key, *path_keys = split_key(key, 4)
        if not self.config.drops_paths:
            path_keys = [None, None]
        mixed = self.attention_branch(tokens, shared=shared, layout=layout, key=attention_key)
        tokens = tokens + stochastic_depth(mixed, rate=drop_rate, key=path_keys[0])
        transformed = self._mlp_branch(tokens, key=mlp_key)
        return tokens + stochastic_depth(transformed, rate=drop_rate, key=path_keys[1])

    def at_token(
        self,
        tokens: Float[Array, "batch tokens channels"],
        index: Int[Array, ""],
        *,
        shared: Float[Array, "#heads dy dx"] | None = None,
    ) -> Float[Array, "batch 1 channels"]:
        """Computes the output of the block at one token, without dropout; of other tokens, only the keys and values.

        Args:
          tokens: Residual stream; attention is among all tokens of an image.
          index: Index of the token; prefix tokens count.
          shared: Offset table that all blocks share, or None.
        """
        mixed = self.attention.at_token(self.before(tokens, self.norm1), index, shared=shared)
        token = jax.lax.dynamic_slice_in_dim(tokens, index, 1, axis=1)
        token = token + scale(self._after(mixed, self.norm1), self.layer_scale1)
        return token + self._mlp_branch(token, key=None)

    def attention_branch(
        self,
        tokens: Float[Array, "batch tokens channels"],
        *,
        shared: Float[Array, "#heads dy dx"] | None,
        layout: Layout | None,
        key: PRNGKeyArray | None,
    ) -> Float[Array, "batch tokens channels"]:
        """Computes the attention branch, which is added to the residual stream."""
        inputs = self.before(tokens, self.norm1)
        if layout is None:
            mixed = self.attention(inputs, shared=shared, key=key)
        else:
            mask = None if layout.mask is None else jnp.asarray(layout.mask)
            mixed = layout.join(self.attention(layout.split(inputs), shared=shared, mask=mask, key=key))
        return scale(self._after(mixed, self.norm1), self.layer_scale1)

    def before(
        self, tokens: Float[Array, "batch tokens channels"], norm: LayerNorm
    ) -> Float[Array, "batch tokens channels"]:
        """Normalises the input of a branch, if normalisation comes before it."""
        return norm(tokens) if self.config.norm == "before" else tokens

    def _mlp_branch(
        self, tokens: Float[Array, "batch tokens channels"], *, key: PRNGKeyArray | None
    ) -> Float[Array, "batch tokens channels"]:
        """Computes the MLP branch, which is added to the residual stream."""
        transformed = self.mlp(self.before(tokens, self.norm2), key=key)
        return scale(self._after(transformed, self.norm2), self.layer_scale2)

    def _after(
        self, branch: Float[Array, "batch tokens channels"], norm: LayerNorm
    ) -> Float[Array, "batch tokens channels"]:
        return norm(branch) if self.config.norm == "after" else branch


class ClassBlock(nnx.Module):
    """A block that updates only the class token, which attends to itself and the patches.

    Parameters: `query`, `key`, `value`, `projection` [width, width], `norm1`, `norm2`, `mlp`, `layer_scale1` and
    `layer_scale2`.

    Source: Touvron et al., Going Deeper with Image Transformers (CaiT, ICCV 2021), section 3.
    """

    def __init__(self, config: BlockConfig, *, key: PRNGKeyArray):
        keys = jax.random.split(key, 5)
        width, start = config.attention.width, config.attention.start
        self.norm1 = LayerNorm(width, epsilon=config.norm_epsilon)
        self.query = Linear(width, width, start=start, key=keys[0])
        self.key = Linear(width, width, start=start, key=keys[1])
        self.value = Linear(width, width, start=start, key=keys[2])
        self.projection = Linear(width, width, start=start, key=keys[3])
        self.norm2 = LayerNorm(width, epsilon=config.norm_epsilon)
        self.mlp = make_mlp(config, key=keys[4])
        self.layer_scale1 = make_gain(config)
        self.layer_scale2 = make_gain(config)
        self.config = config

    def __call__(
        self,
        class_token: Float[Array, "batch 1 channels"],
        patches: Float[Array, "batch tokens channels"],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "batch 1 channels"]:
        """Updates the class token."""
        mixed = self.attend(self.norm1(jnp.concatenate([class_token, patches], axis=1)))
        class_token = class_token + scale(mixed, self.layer_scale1)
        return class_token + scale(self.mlp(self.norm2(class_token), key=key), self.layer_scale2)

    def attend(self, inputs: Float[Array, "batch tokens channels"]) -> Float[Array, "batch 1 channels"]:
        """Computes the attention of the class token, the first of the normalised tokens, to all of them."""
        heads = self.config.attention.num_heads
        query, keys, values = (
            layer(part).reshape(part.shape[0], part.shape[1], heads, -1)
            for layer, part in ((self.query, inputs[:, :1]), (self.key, inputs), (self.value, inputs))
        )
        logits = attention_logits(query, keys, scale=query.shape[-1] ** -0.5)
        mixed = attend(attention_weights(logits), values)
        return self.projection(mixed.reshape(inputs.shape[0], 1, inputs.shape[2]))


def make_class_blocks(config: BlockConfig, depth: int, *, key: PRNGKeyArray) -> ClassBlock | None:
    """Builds blocks of the class token, with stacked parameters; None for a depth of 0."""
    if depth == 0:
        return None
    return stack(lambda block_key: ClassBlock(config, key=block_key), jax.random.split(key, depth))


def make_mlp(config: BlockConfig, *, key: PRNGKeyArray) -> Mlp:
    """Builds the MLP of a block."""
    attention = config.attention
    return Mlp(
        attention.width,
        int(attention.width * config.mlp_ratio),
        start=attention.start,
        dropout_rate=attention.projection_dropout,
        key=key,
        kind=config.mlp,
        norm_epsilon=config.norm_epsilon if config.mlp_norm else None,
    )


def make_gain(config: BlockConfig) -> nnx.Param | None:
    """Builds the LayerScale gain of a residual branch, or None (Touvron et al., CaiT, ICCV 2021, equation 4)."""
    if config.layer_scale is None or config.norm == "after":
        return None
    return nnx.Param(jnp.full((config.attention.width,), config.layer_scale, jnp.float32))


def scale(
    branch: Float[Array, "batch tokens channels"], gain: nnx.Param | None
) -> Float[Array, "batch tokens channels"]:
    """Multiplies a branch by its gain, if it has one."""
    if gain is None:
        return branch
    return scale_channels(branch, gain[...])
