"""The block of every transformer here: attention and an MLP on a residual stream."""

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray

from gauss_vit.kernels.reference import attend, attention_logits, attention_weights
from gauss_vit.models.attention import Attention, AttentionConfig
from gauss_vit.models.layers import LayerNorm, Linear, Mlp
from gauss_vit.ops.channels import scale_channels
from gauss_vit.ops.dropout import split_key, stochastic_depth


@dataclass(frozen=True, kw_only=True)
class BlockConfig:
    """What a block is made of.

    Attributes:
      attention: its attention; width, dropout and the start of dense layers hold for the whole block.
      mlp_ratio: hidden channels of the MLP over the width.
      norm: each branch is normalised "before" it, or "after" it, from a scale of 0 (SwinV2).
      norm_epsilon: added to the variance in every normalisation.
      layer_scale: where the gain of each residual branch starts; None for no such gain.
      drops_paths: stochastic depth is on in training.
    """

    attention: AttentionConfig
    mlp_ratio: float = 4.0
    norm: Literal["before", "after"] = "before"
    norm_epsilon: float = 1e-6
    layer_scale: float | None = None
    drops_paths: bool = False


@runtime_checkable
class Layout(Protocol):
    """How the tokens of an image are brought before the attention: as windows, for example."""

    @property
    def mask(self) -> Float[np.ndarray, "windows tokens tokens"] | None:
        """Logits that keep tokens of one window apart; None where all may meet."""
        ...

    def split(self, tokens: Float[Array, "batch tokens channels"]) -> Float[Array, "windows window_tokens channels"]:
        """Brings the tokens into windows, those of one image in a row."""
        ...

    def join(self, windows: Float[Array, "windows window_tokens channels"]) -> Float[Array, "batch tokens channels"]:
        """Undoes `split`."""
        ...


class Block(nnx.Module):
    """Attention and an MLP, each normalised, scaled, and added to the residual stream.

    Parameters: `norm1`, `attention`, `norm2`, `mlp`, and `layer_scale1` and `layer_scale2` [width] where there is one.
    """

    def __init__(self, config: BlockConfig, *, key: PRNGKeyArray):
        attention_key, mlp_key = jax.random.split(key)
        attention = config.attention
        # A branch that is normalised at its end starts at zero: the block starts as the identity (SwinV2, section 3.2).
        start = 0.0 if config.norm == "after" else 1.0
        self.norm1 = LayerNorm(attention.width, epsilon=config.norm_epsilon, start=start)
        self.attention = Attention(attention, key=attention_key)
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
        """Transforms the residual stream.

        Args:
          tokens: the stream.
          drop_rate: this block's rate of stochastic depth.
          shared: an offset table that all blocks share.
          layout: how tokens meet in attention; all of an image when None.
          key: randomness; None means inference.
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
        """Computes one token as it leaves the block, without dropout; of the others only what attention reads of them.

        Args:
          tokens: the stream; all tokens of an image meet.
          index: of the token, prefix tokens counted.
          shared: an offset table that all blocks share.
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
        """Computes what attention adds to the stream."""
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
        """Computes what enters a branch."""
        return norm(tokens) if self.config.norm == "before" else tokens

    def _mlp_branch(
        self, tokens: Float[Array, "batch tokens channels"], *, key: PRNGKeyArray | None
    ) -> Float[Array, "batch tokens channels"]:
        """Computes what the MLP adds to the stream."""
        transformed = self.mlp(self.before(tokens, self.norm2), key=key)
        return scale(self._after(transformed, self.norm2), self.layer_scale2)

    def _after(
        self, branch: Float[Array, "batch tokens channels"], norm: LayerNorm
    ) -> Float[Array, "batch tokens channels"]:
        return norm(branch) if self.config.norm == "after" else branch


class ClassBlock(nnx.Module):
    """A block in which only the class token is updated: it asks the patches and itself.

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
        inputs = self.norm1(jnp.concatenate([class_token, patches], axis=1))
        heads = self.config.attention.num_heads
        query, keys, values = (
            layer(part).reshape(part.shape[0], part.shape[1], heads, -1)
            for layer, part in ((self.query, inputs[:, :1]), (self.key, inputs), (self.value, inputs))
        )
        logits = attention_logits(query, keys, scale=query.shape[-1] ** -0.5)
        mixed = attend(attention_weights(logits), values).reshape(class_token.shape)
        class_token = class_token + scale(self.projection(mixed), self.layer_scale1)
        return class_token + scale(self.mlp(self.norm2(class_token), key=key), self.layer_scale2)


def make_mlp(config: BlockConfig, *, key: PRNGKeyArray) -> Mlp:
    """Makes the MLP of a block."""
    attention = config.attention
    hidden = int(attention.width * config.mlp_ratio)
    return Mlp(attention.width, hidden, start=attention.start, dropout_rate=attention.projection_dropout, key=key)


def make_gain(config: BlockConfig) -> nnx.Param | None:
    """Makes the LayerScale of a residual branch (Touvron et al., CaiT, ICCV 2021, equation 4)."""
    if config.layer_scale is None:
        return None
    return nnx.Param(jnp.full((config.attention.width,), config.layer_scale, jnp.float32))


def scale(
    branch: Float[Array, "batch tokens channels"], gain: nnx.Param | None
) -> Float[Array, "batch tokens channels"]:
    """Multiplies a branch by its gain, if it has one."""
    if gain is None:
        return branch
    return scale_channels(branch, gain[...])
