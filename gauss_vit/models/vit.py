"""Vision transformers with absolute position embeddings, relative position biases, or both."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int, Int32, PRNGKeyArray

from gauss_vit.errors import ConfigError
from gauss_vit.models.attention import AttentionConfig
from gauss_vit.models.block_scan import streams_after, with_class_token
from gauss_vit.models.blocks import Block, BlockConfig, make_class_blocks
from gauss_vit.models.compute import Compute
from gauss_vit.models.features import AttentionInputs, Features, Intermediates
from gauss_vit.models.global_stage import GlobalStage
from gauss_vit.models.layer_position import PositionBias
from gauss_vit.models.layers import Init, LayerNorm, stack_placed
from gauss_vit.models.mlp import MlpKind
from gauss_vit.models.observed import intermediates
from gauss_vit.models.pooling import AttentionPool, Pool, pool_tokens
from gauss_vit.models.refinement import refine, refine_token
from gauss_vit.models.stage import Stage
from gauss_vit.models.tokens import check_image_size, joined, learned_tokens, patch_embedding, position_embedding
from gauss_vit.ops.dropout import dropout, split_key
from gauss_vit.ops.grid import Grid, grid_of
from gauss_vit.ops.patches import patchify
from gauss_vit.position.position import Position
from gauss_vit.position.term import add
from gauss_vit.position.terms.relative import RelativeTable

_COMPUTE = Compute()
_RATES = ("position_dropout", "projection_dropout", "attention_dropout", "stochastic_depth")
_NUM_KEYS = 6


@dataclass(frozen=True, kw_only=True)
class ViTConfig:
    """Config of a vision transformer without a head; `construct.build` builds the model.

    Attributes:
      image_size: Image (height, width) in pixels; must be divisible by the patch size.
      patch_size: Patch (height, width) in pixels.
      width: Number of channels of a token.
      depth: Number of blocks.
      num_heads: Number of attention heads; must divide the width.
      mlp_ratio: Ratio of the hidden channels of the MLP to the width.
      mlp: Nonlinearity of the MLP: "gelu", "gelu_tanh", "quick_gelu" (CLIP), or "swiglu", whose gate has hidden
        channels of its own.
      mlp_norm: Whether the hidden channels of the MLP are normalised before its second layer (EVA-02).
      class_token: Whether there is a learned class token before the patches.
      distillation_token: Whether a second learned token follows the class token (DeiT), which a
        `DistilledHead` reads.
      register_tokens: Number of learned tokens between the class token and the patches that no head reads (DINOv2).
      input_norm: Whether embedded tokens are normalised before the first block; patches then have no bias (CLIP).
      block_norm: Place of normalisation in a block: "before" each residual branch, or "after" it (`vit_relpos_*_rpn`).
      pool: Input of the head: the class "token", the "mean" of the patches, or what "attention" of a learned query
        reads of them (SigLIP).
      norm: Place of the final normalisation: "before_pool" (over every token) or "after_pool".
      norm_epsilon: Constant added to the variance in every normalisation.
      position: Position information: bias terms of every block, shared terms, an absolute and a rotary embedding.
      biases: Which of the query, key and value layers have a bias: "all", "none", or "query_value" (BEiT).
      mixes_heads: Whether heads are mixed before and after the softmax (talking heads, CaiT).
      class_blocks: Number of final blocks that update only the class token (CaiT); if not 0, the token enters there.
      refines_patches: Whether the final tokens attend to each other once more, see `models.refinement` (LocAt).
      layer_scale: Initial gain of every residual branch (LayerScale), or of its normalisation if that comes after the
        branch; None for no gain.
      start: Initialiser of the dense layers.
      position_dropout: Dropout rate after the embedding; like the rates below, for training only.
      projection_dropout: Dropout rate after the attention's projection and each layer of the MLP.
      attention_dropout: Dropout rate of the attention weights.
      stochastic_depth: Stochastic-depth rate of the last block; it grows linearly from 0 at the first.
      compute: Settings of the computation: dtype, kernels and loops.

    Raises:
      ConfigError: a value is out of range, or two values do not fit together.

    Source: Dosovitskiy et al. (ICLR 2021); timm `vision_transformer.py` and `vision_transformer_relpos.py`.
    """

    image_size: tuple[int, int] = (224, 224)
    patch_size: tuple[int, int] = (16, 16)
    width: int
    depth: int
    num_heads: int
    mlp_ratio: float = 4.0
    mlp: MlpKind = "gelu"
    mlp_norm: bool = False
    class_token: bool
    distillation_token: bool = False
    register_tokens: int = 0
    input_norm: bool = False
    block_norm: Literal["before", "after"] = "before"
    pool: Pool
    norm: Literal["before_pool", "after_pool"]
    norm_epsilon: float = 1e-6
    position: Position
    biases: Literal["all", "none", "query_value"]
    mixes_heads: bool = False
    class_blocks: int = 0
    refines_patches: bool = False
    layer_scale: float | None
    start: Init
    position_dropout: float = 0.0
    projection_dropout: float = 0.0
    attention_dropout: float = 0.0
    stochastic_depth: float = 0.0
    compute: Compute = _COMPUTE

    def __post_init__(self):
        for name in ("width", "depth"):
            if vars(self)[name] < 1:
                raise ConfigError(f"{name} must be at least 1, got {vars(self)[name]}")
        for name in _RATES:
            if not 0 <= vars(self)[name] < 1:
                raise ConfigError(f"{name} must be in [0, 1), got {vars(self)[name]}")
        if any(isinstance(term, RelativeTable) and term.has_prefix for term in self.position.shared):
            raise ConfigError(
                "a table that all blocks share has no logits for prefix tokens", do="move it to position.terms"
            )
        self._check_tokens()
        grid_of(self.image_size, self.patch_size)
        self.block()

    def _check_tokens(self) -> None:
        if self.pool == "token" and not self.class_token:
            raise ConfigError("pool 'token' needs a class token", do="set class_token or pool 'mean'")
        if self.class_blocks < 0 or (self.class_blocks and not self.class_token):
            raise ConfigError(f"class_blocks {self.class_blocks} needs a class token and must not be negative")
        if self.class_blocks and self.block_norm == "after":
            raise ConfigError("class_blocks normalise before their branches", do="set block_norm to 'before'")
        if self.register_tokens < 0:
            raise ConfigError(f"register_tokens must not be negative, got {self.register_tokens}")
        for name in ("distillation_token", "register_tokens"):
            if vars(self)[name] and (not self.class_token or self.class_blocks):
                raise ConfigError(f"{name} needs a class token in all blocks")
        if self.refines_patches and self.class_blocks:
            raise ConfigError("refines_patches needs the class token in all blocks", do="leave class_blocks out")

    @property
    def has_position_bias(self) -> bool:
        """Whether position terms are added to attention logits."""
        return bool(self.position.all_terms)

    @property
    def grid(self) -> Grid:
        """The (height, width) of the map, in patches."""
        return grid_of(self.image_size, self.patch_size)

    @property
    def prefix_tokens(self) -> int:
        """Number of tokens before the patches in the blocks."""
        return int(self.class_token and not self.class_blocks) + int(self.distillation_token) + self.register_tokens

    @property
    def num_features(self) -> int:
        """Number of channels of the pooled features."""
        return self.width

    @property
    def num_keys(self) -> int:
        """Number of keys that `make` splits its key into."""
        return _NUM_KEYS

    @property
    def dense_init(self) -> Init:
        """Initialiser of dense layers."""
        return self.start

    def make(self, key: PRNGKeyArray) -> "ViT":
        """Builds the model with newly drawn parameters."""
        return ViT(self, key=key)

    def stages(self) -> tuple[Stage]:
        """Returns the only stage: all blocks that update patches."""
        stage = Stage(
            path="backbone.blocks",
            first=0,
            depth=self.depth,
            grid=self.grid,
            patch_size=self.patch_size,
            attention=self.block().attention,
            shared_terms=self.position.shared,
        )
        return (stage,)

    def block(self) -> BlockConfig:
        """Returns the config of every block."""
        attention = AttentionConfig(
            width=self.width,
            num_heads=self.num_heads,
            grid=self.grid,
            prefix_tokens=self.prefix_tokens,
            terms=self.position.terms,
            rotary=self.position.rotary,
            query_gaussian=self.position.query_gaussian,
            biases=self.biases,
            mixes_heads=self.mixes_heads,
            attention_dropout=self.attention_dropout,
            projection_dropout=self.projection_dropout,
            start=self.start,
            compute=self.compute,
        )
        return BlockConfig(
            attention=attention,
            mlp_ratio=self.mlp_ratio,
            mlp=self.mlp,
            mlp_norm=self.mlp_norm,
            norm=self.block_norm,
            norm_epsilon=self.norm_epsilon,
            layer_scale=self.layer_scale,
            drops_paths=self.stochastic_depth > 0,
        )


class ViT(nnx.Module):
    """A vision transformer; the parameters of its blocks are stacked on a leading axis."""

    def __init__(self, config: ViTConfig, *, key: PRNGKeyArray):
        keys = jax.random.split(key, _NUM_KEYS)
        has_bias = not config.input_norm
        self.patch_embed = patch_embedding(config.patch_size, config.width, key=keys[0], use_bias=has_bias)
        counts = (int(config.class_token), int(config.distillation_token), config.register_tokens)
        token_keys = (keys[1], jax.random.fold_in(keys[1], 1), jax.random.fold_in(keys[1], 2))
        self.class_token, self.distillation_token, self.register_tokens = (
            learned_tokens(config.width, key=token_key, count=count)
            for token_key, count in zip(token_keys, counts, strict=True)
        )
        self.position_embed = position_embedding(config.position.absolute, config.stages()[0], key=keys[2])
        self.shared_bias = PositionBias(
            config.position.shared, grid=config.grid, num_heads=config.num_heads, key=keys[3]
        )
        self.input_norm = LayerNorm(config.width, epsilon=config.norm_epsilon) if config.input_norm else None
        (stage,) = config.stages()
        self.blocks = stack_placed(
            lambda block_key, place: Block(config.block(), key=block_key, place=place),
            jax.random.split(keys[4], config.depth),
            stage.places,
        )
        self.class_blocks = make_class_blocks(config.block(), config.class_blocks, key=keys[5])
        self.norm = LayerNorm(config.width, epsilon=config.norm_epsilon)
        pool_key, reads = jax.random.fold_in(keys[5], 1), config.pool == "attention"
        self.attention_pool = AttentionPool(config.block(), key=pool_key) if reads else None
        self.config = config

    def features(self, images: Float[Array, "batch height width 3"], *, key: PRNGKeyArray | None = None) -> Features:
        """Computes the feature maps at the end of the backbone, in the dtype of the activations.

        A key enables dropout and stochastic depth.
        """
        config = self.config
        embed_key, blocks_key, class_key = split_key(key, 3)
        stream, _ = self.scan_blocks(self.embed(images, key=embed_key), key=blocks_key)
        stream = with_class_token(self.class_blocks, self.class_token, stream, key=class_key)
        tokens = self._normalised(stream)
        if config.refines_patches:
            tokens = refine(tokens, num_heads=config.num_heads, grid=config.grid, compute=config.compute)
        # A class token that enters after the blocks of the patches is no prefix of theirs.
        prefix_tokens = max(config.prefix_tokens, int(config.class_token))
        prefix, patches = tokens[:, :prefix_tokens], tokens[:, prefix_tokens:]
        pooled = pool_tokens(config.pool, tokens, prefix_tokens=prefix_tokens, reader=self.attention_pool)
        shape = (images.shape[0], *config.grid, config.width)
        return Features(
            last=patches.reshape(shape),
            pre_norm=stream[:, prefix_tokens:].reshape(shape),
            prefix=prefix,
            pooled=self.norm(pooled) if config.norm == "after_pool" else pooled,
        )

    def before_last_block(self, images: Float[Array, "batch height width 3"]) -> Float[Array, "batch tokens channels"]:
        """Computes the residual stream that enters the last block, without dropout."""
        return self._stage().run_all_but_last(self.embed(images))

    def token_features(
        self, tokens: Float[Array, "batch tokens channels"], position: Int[Array, "2"], *, is_normalized: bool
    ) -> Float[Array, "batch channels"]:
        """Computes the features of one patch, without dropout.

        The last block is computed for that patch alone, unless it is refined from all tokens.

        Args:
          tokens: Result of `before_last_block`.
          position: The (row, column) of the patch.
          is_normalized: Whether to compute the patch of `Features.last`, else of `Features.pre_norm`.
        """
        config, stage = self.config, self._stage()
        if is_normalized and config.refines_patches:
            index = stage.index_of(position)
            return refine_token(self._normalised(stage.run_last(tokens)), index, num_heads=config.num_heads)
        token = stage.token(tokens, position, block=config.depth - 1)
        return self._normalised(token) if is_normalized else token

    def _normalised(self, tokens: Float[Array, "*batch channels"]) -> Float[Array, "*batch channels"]:
        """Normalises final tokens, if that comes before pooling."""
        return self.norm(tokens) if self.config.norm == "before_pool" else tokens

    def maps(
        self,
        images: Float[Array, "batch height width 3"],
        layers: Sequence[int],
        *,
        key: PRNGKeyArray | None = None,
    ) -> tuple[Float[Array, "batch rows columns channels"], ...]:
        """Computes the output maps of some blocks, counted from 1 to the depth, before the final normalisation.

        Raises:
          ConfigError: there is no such block.
        """
        embed_key, blocks_key, _ = split_key(key, 3)
        tokens, (stage,) = self.embed(images, key=embed_key), self.config.stages()
        streams = streams_after(
            layers, stage, lambda collect: self.scan_blocks(tokens, key=blocks_key, collect=collect)
        )
        return tuple(self._stage().patches(stream) for stream in streams)

    def block_map(
        self, images: Float[Array, "batch height width 3"], num_blocks: Int32[Array, ""], *, stage: int = 0
    ) -> Float[Array, "batch rows columns channels"]:
        """Computes the map after the first `num_blocks` blocks, without dropout; the only stage is 0."""
        del stage
        return self._stage().patches(self._stage().run_first(self.embed(images), num_blocks))

    def before_block(
        self, images: Float[Array, "batch height width 3"], num_blocks: Int32[Array, ""]
    ) -> Float[Array, "batch tokens channels"]:
        """Computes the residual stream that enters block `num_blocks`, counted from 1, for `block_token`."""
        return self._stage().run_first(self.embed(images), num_blocks - 1)

    def block_token(
        self, tokens: Float[Array, "batch tokens channels"], position: Int[Array, "2"], *, num_blocks: Int32[Array, ""]
    ) -> Float[Array, "batch channels"]:
        """Computes one patch of `block_map` from the result of `before_block`; runs the block for that patch alone."""
        return self._stage().token(tokens, position, block=num_blocks - 1)

    def intermediates(self, images: Float[Array, "batch height width 3"]) -> tuple[Intermediates]:
        """Computes the output, the attention weights and the logits bias of every block."""
        last, entering = self._streams(images)
        return (intermediates(self._stage().attention_inputs(entering), entering, last),)

    def attention_inputs(self, images: Float[Array, "batch height width 3"]) -> tuple[AttentionInputs, ...]:
        """Computes the inputs of the attention of every block."""
        return self._stage().attention_inputs(self._streams(images)[1])

    def embed(
        self, images: Float[Array, "batch height width 3"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "batch tokens channels"]:
        """Embeds the patches, joins the learned tokens and adds the position embedding.

        Raises:
          ConfigError: the images are not of the model's size.
        """
        config = self.config
        check_image_size(images, config.image_size)
        tokens = self.patch_embed(patchify(images.astype(config.compute.dtype), config.patch_size))
        class_token, absolute = None if config.class_blocks else self.class_token, config.position.absolute
        tokens = joined(
            tokens,
            (class_token, self.distillation_token, self.register_tokens),
            position=self.position_embed,
            embeds_prefix=absolute is not None and absolute.embeds_prefix,
        )
        tokens = dropout(tokens, rate=config.position_dropout, key=key)
        return tokens if self.input_norm is None else self.input_norm(tokens)

    def shared_table(self, *, key: PRNGKeyArray | None = None) -> Float[Array, "#heads dy dx"] | None:
        """Computes the offset table that all blocks share, or None."""
        tables = self.shared_bias.tables(key=key)
        return add(tables, self.config.grid) if tables else None

    def scan_blocks(
        self, tokens: Float[Array, "batch tokens channels"], *, key: PRNGKeyArray | None = None, collect: bool = False
    ) -> tuple[Float[Array, "batch tokens channels"], Float[Array, "depth batch tokens channels"] | None]:
        """Runs all blocks; with `collect` also returns the residual stream that enters each of them."""
        config = self.config
        shared_key, blocks_key = split_key(key, 2)
        stage = self._stage(key=shared_key)
        rates = np.linspace(0, config.stochastic_depth, config.depth)
        return stage.run(tokens, rates=rates, key=blocks_key, collect=collect)

    def _stage(self, *, key: PRNGKeyArray | None = None) -> GlobalStage:
        (stage,) = self.config.stages()
        return GlobalStage(
            stage=stage,
            blocks=self.blocks,
            shared=self.shared_table(key=key),
            compute=self.config.compute,
        )

    def _streams(
        self, images: Float[Array, "batch height width 3"]
    ) -> tuple[Float[Array, "batch tokens channels"], Float[Array, "depth batch tokens channels"]]:
        last, entering = self.scan_blocks(self.embed(images), collect=True)
        assert entering is not None, "the streams were collected"
        return last, entering
