"""Vision transformers: plain ones with absolute embeddings and those with relative position biases."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from gauss_vit.errors import ConfigError
from gauss_vit.models.attention import Attention, AttentionConfig
from gauss_vit.models.features import Features
from gauss_vit.models.layers import LayerNorm, Linear, Mlp, Start, split_key, stack
from gauss_vit.ops.dropout import dropout, stochastic_depth
from gauss_vit.ops.grid import Grid, grid_of
from gauss_vit.ops.patches import patchify
from gauss_vit.position.absolute import AbsoluteEmbedding
from gauss_vit.position.gaussian import Gaussian
from gauss_vit.position.relative import RelativeTable
from gauss_vit.position.relative_mlp import RelativeMlp
from gauss_vit.position.term import BiasTerm

_RATES = ("position_dropout", "projection_dropout", "attention_dropout", "head_dropout", "stochastic_depth")


@dataclass(frozen=True, kw_only=True)
class ViTConfig:
    """A vision transformer as a value; `build` makes it.

    Attributes:
      image_size: (height, width) in pixels; divisible by the patch.
      patch_size: (height, width) in pixels.
      width: channels of a token.
      depth: number of blocks.
      num_heads: attention heads; must divide the width.
      num_classes: outputs of the head.
      mlp_ratio: hidden channels of the MLP over `width`.
      class_token: a learned token before the patches.
      pool: what the head reads: the class "token" or the "mean" of the patches.
      norm: the final normalisation stands "before_pool" (over every token) or "after_pool".
      norm_epsilon: added to the variance in every normalisation.
      absolute: a learned embedding of the positions; None for none.
      relative: a relative position bias in every block; None for none.
      gaussian: the Gaussian attention bias in every block; None for none.
      query_key_value_bias: the joint projection of the attention has a bias.
      layer_scale: where the gain of every residual branch starts; None for no such gain.
      start: how dense layers start.
      position_dropout: rate after the embedding, in training, as the rates below.
      projection_dropout: rate after the attention's projection and each layer of the MLP.
      attention_dropout: rate on the attention weights.
      head_dropout: rate before the head.
      stochastic_depth: rate of the last block's residual branches; it grows linearly from 0 at the first.
      dtype: type of the activations; parameters, statistics and logits are float32.
      remat: what the backward pass recomputes: nothing ("none"), all but the matrix products ("dots"), or whole blocks
        ("full").
      unroll: how many blocks are compiled one by one in the scan over blocks; `depth` compiles longer and saves the
        loop.

    Raises:
      ConfigError: a value is out of range or two do not fit.

    Source: Dosovitskiy et al. (ICLR 2021); timm `vision_transformer.py` and `vision_transformer_relpos.py`.
    """

    image_size: tuple[int, int] = (224, 224)
    patch_size: tuple[int, int] = (16, 16)
    width: int
    depth: int
    num_heads: int
    num_classes: int = 1000
    mlp_ratio: float = 4.0
    class_token: bool
    pool: Literal["token", "mean"]
    norm: Literal["before_pool", "after_pool"]
    norm_epsilon: float = 1e-6
    absolute: AbsoluteEmbedding | None
    relative: RelativeMlp | RelativeTable | None
    gaussian: Gaussian | None = None
    query_key_value_bias: bool
    layer_scale: float | None
    start: Start
    position_dropout: float = 0.0
    projection_dropout: float = 0.0
    attention_dropout: float = 0.0
    head_dropout: float = 0.0
    stochastic_depth: float = 0.0
    dtype: Literal["float32", "bfloat16"] = "float32"
    remat: Literal["none", "dots", "full"] = "none"
    unroll: int = 1

    def __post_init__(self):
        for name in ("width", "depth", "num_classes", "unroll"):
            if vars(self)[name] < 1:
                raise ConfigError(f"{name} must be at least 1, got {vars(self)[name]}")
        for name in _RATES:
            if not 0 <= vars(self)[name] < 1:
                raise ConfigError(f"{name} must be in [0, 1), got {vars(self)[name]}")
        if self.pool == "token" and not self.class_token:
            raise ConfigError("pool 'token' needs a class token", do="set class_token or pool 'mean'")
        grid_of(self.image_size, self.patch_size)
        self.attention()

    @property
    def grid(self) -> Grid:
        """The (height, width) in patches."""
        return grid_of(self.image_size, self.patch_size)

    @property
    def prefix_tokens(self) -> int:
        """How many tokens stand before the patches."""
        return int(self.class_token)

    @property
    def terms(self) -> tuple[BiasTerm, ...]:
        """The position biases of every block's attention."""
        return tuple(term for term in (self.relative, self.gaussian) if term is not None)

    def attention(self) -> AttentionConfig:
        """The config of every block's attention."""
        return AttentionConfig(
            width=self.width,
            num_heads=self.num_heads,
            grid=self.grid,
            prefix_tokens=self.prefix_tokens,
            terms=self.terms,
            use_query_key_value_bias=self.query_key_value_bias,
            attention_dropout=self.attention_dropout,
            projection_dropout=self.projection_dropout,
            start=self.start,
        )


class Block(nnx.Module):
    """Attention and an MLP, each normalised before, scaled after, and added to the residual stream."""

    def __init__(self, config: ViTConfig, *, key: PRNGKeyArray):
        attention_key, mlp_key = jax.random.split(key)
        self.norm1 = LayerNorm(config.width, epsilon=config.norm_epsilon)
        self.attention = Attention(config.attention(), key=attention_key)
        self.norm2 = LayerNorm(config.width, epsilon=config.norm_epsilon)
        hidden = int(config.width * config.mlp_ratio)
        self.mlp = Mlp(config.width, hidden, start=config.start, dropout_rate=config.projection_dropout, key=mlp_key)
        self.layer_scale1 = _gain(config)
        self.layer_scale2 = _gain(config)
        self.drops_paths = config.stochastic_depth > 0

    def __call__(
        self,
        tokens: Float[Array, "batch tokens channels"],
        *,
        drop_rate: Float[Array, ""],
        key: PRNGKeyArray | None,
    ) -> Float[Array, "batch tokens channels"]:
        """Transforms the residual stream; `drop_rate` is this block's rate of stochastic depth."""
        keys = split_key(key, 4)
        path_keys = keys[2:] if self.drops_paths else (None, None)
        mixed = _scale(self.attention(self.norm1(tokens), key=keys[0]), self.layer_scale1)
        tokens = tokens + stochastic_depth(mixed, rate=drop_rate, key=path_keys[0])
        transformed = _scale(self.mlp(self.norm2(tokens), key=keys[1]), self.layer_scale2)
        return tokens + stochastic_depth(transformed, rate=drop_rate, key=path_keys[1])


class ViT(nnx.Module):
    """A vision transformer; the parameters of its blocks are stacked on a leading axis and scanned over."""

    def __init__(self, config: ViTConfig, *, key: PRNGKeyArray):
        keys = jax.random.split(key, 6)
        self.patch_embed = _patch_embed(config, keys[0])
        self.class_token = _class_token(config, keys[1])
        self.position_embed = _position_embed(config, keys[2])
        self.blocks = stack(lambda block_key: Block(config, key=block_key), jax.random.split(keys[3], config.depth))
        self.norm = LayerNorm(config.width, epsilon=config.norm_epsilon)
        self.head = Linear(config.width, config.num_classes, start=config.start, key=keys[4])
        self.config = config

    def __call__(
        self, images: Float[Array, "batch height width 3"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "batch classes"]:
        """Computes float32 logits of normalised images; a key turns dropout and stochastic depth on."""
        trunk_key, head_key = split_key(key, 2)
        pooled = self.features(images, key=trunk_key).pooled
        pooled = dropout(pooled, rate=self.config.head_dropout, key=head_key)
        return self.head(pooled).astype(jnp.float32)

    def features(self, images: Float[Array, "batch height width 3"], *, key: PRNGKeyArray | None = None) -> Features:
        """Computes the feature maps at the end of the trunk, in the type of the activations."""
        config = self.config
        embed_key, blocks_key = split_key(key, 2)
        stream, _ = self.scan_blocks(self.embed(images, key=embed_key), key=blocks_key)
        tokens = self.norm(stream) if config.norm == "before_pool" else stream
        prefix, patches = tokens[:, : config.prefix_tokens], tokens[:, config.prefix_tokens :]
        pooled = tokens[:, 0] if config.pool == "token" else jnp.mean(patches, axis=1)
        shape = (images.shape[0], *config.grid, config.width)
        return Features(
            last=patches.reshape(shape),
            pre_norm=stream[:, config.prefix_tokens :].reshape(shape),
            prefix=prefix,
            pooled=self.norm(pooled) if config.norm == "after_pool" else pooled,
        )

    def embed(
        self, images: Float[Array, "batch height width 3"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "batch tokens channels"]:
        """Embeds the patches and adds class token and positions.

        Raises:
          ConfigError: the images are not of the model's size.
        """
        config = self.config
        if images.shape[1:3] != config.image_size:
            raise ConfigError(f"the model takes images of {config.image_size}, got {images.shape[1:3]}")
        tokens = self.patch_embed(patchify(images.astype(config.dtype), config.patch_size))
        position = None if self.position_embed is None else self.position_embed[...].astype(tokens.dtype)
        embeds_prefix = config.absolute is not None and config.absolute.embeds_prefix
        if position is not None and not embeds_prefix:
            tokens = tokens + jnp.broadcast_to(position, tokens.shape)
        if self.class_token is not None:
            shape = (tokens.shape[0], 1, config.width)
            tokens = jnp.concatenate([jnp.broadcast_to(self.class_token[...].astype(tokens.dtype), shape), tokens], 1)
        if position is not None and embeds_prefix:
            tokens = tokens + jnp.broadcast_to(position, tokens.shape)
        return dropout(tokens, rate=config.position_dropout, key=key)

    def scan_blocks(
        self, tokens: Float[Array, "batch tokens channels"], *, key: PRNGKeyArray | None = None, collect: bool = False
    ) -> tuple[Float[Array, "batch tokens channels"], Float[Array, "depth batch tokens channels"] | None]:
        """Runs all blocks; with `collect` also returns the residual stream that enters each of them."""
        config = self.config
        graph, stacked = nnx.split(self.blocks)
        rates = jnp.asarray(np.linspace(0, config.stochastic_depth, config.depth), jnp.float32)
        keys = None if key is None else jax.random.split(key, config.depth)

        def body(stream: Array, layer: PyTree) -> tuple[Array, Array | None]:
            params, rate, block_key = layer
            outputs = nnx.merge(graph, params)(stream, drop_rate=rate, key=block_key)
            return outputs, stream if collect else None

        scanned = _rematerialise(body, config.remat)
        return jax.lax.scan(scanned, tokens, (stacked, rates, keys), unroll=min(config.unroll, config.depth))


def build(config: ViTConfig, key: PRNGKeyArray) -> ViT:
    """Makes a model with fresh parameters, drawn in one compiled function."""
    graph, _ = abstract(config)
    return nnx.merge(graph, jax.jit(lambda draw: nnx.split(ViT(config, key=draw))[1])(key))


def abstract(config: ViTConfig) -> tuple[nnx.GraphDef, PyTree]:
    """Gives a model's structure and the shapes and types of its parameters as a nested dict, computing nothing."""
    graph, state = nnx.split(nnx.eval_shape(lambda: ViT(config, key=jax.random.key(0))))
    return graph, nnx.to_pure_dict(state)


def _patch_embed(config: ViTConfig, key: PRNGKeyArray) -> Linear:
    """A convolution of one patch a stride; timm leaves it at PyTorch's start in every model."""
    values = 3 * config.patch_size[0] * config.patch_size[1]
    return Linear(values, config.width, start="fan_in_uniform", key=key)


def _position_embed(config: ViTConfig, key: PRNGKeyArray) -> nnx.Param | None:
    if config.absolute is None:
        return None
    drawn = config.absolute.init(key, grid=config.grid, prefix_tokens=config.prefix_tokens, width=config.width)
    return nnx.Param(drawn)


def _class_token(config: ViTConfig, key: PRNGKeyArray) -> nnx.Param | None:
    if not config.class_token:
        return None
    return nnx.Param(jax.random.normal(key, (1, 1, config.width), jnp.float32) * jnp.float32(1e-6))


def _gain(config: ViTConfig) -> nnx.Param | None:
    """The LayerScale of a residual branch (Touvron et al., CaiT, ICCV 2021, equation 4)."""
    if config.layer_scale is None:
        return None
    return nnx.Param(jnp.full((config.width,), config.layer_scale, jnp.float32))


def _scale(
    branch: Float[Array, "batch tokens channels"], gain: nnx.Param | None
) -> Float[Array, "batch tokens channels"]:
    if gain is None:
        return branch
    return branch * jnp.broadcast_to(gain[...].astype(branch.dtype), branch.shape)


def _rematerialise(body: Callable, remat: Literal["none", "dots", "full"]) -> Callable:
    """Lets the backward pass recompute what `remat` says."""
    if remat == "none":
        return body
    policy = jax.checkpoint_policies.dots_saveable if remat == "dots" else None
    return jax.checkpoint(body, policy=policy, prevent_cse=False)
