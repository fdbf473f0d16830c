"""XCiT: transformers whose attention mixes channels by their covariance over the patches."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int32, PRNGKeyArray, PyTree

from gauss_vit.errors import ConfigError
from gauss_vit.models.attention import AttentionConfig
from gauss_vit.models.block_scan import streams_after
from gauss_vit.models.blocks import BlockConfig, ClassBlock
from gauss_vit.models.compute import Compute
from gauss_vit.models.features import AttentionInputs, Features, Intermediates
from gauss_vit.models.layers import Init, LayerNorm, Linear, layers_per_turn, scan_layers, stack
from gauss_vit.models.stage import Stage
from gauss_vit.models.tokens import check_image_size, repeated
from gauss_vit.models.xcit_blocks import ChannelBlock, ConvolutionStem, update_all_tokens
from gauss_vit.ops.dropout import dropout, split_key
from gauss_vit.ops.grid import Grid, grid_of
from gauss_vit.ops.initializers import truncated_normal
from gauss_vit.position.fourier import FourierEmbedding
from gauss_vit.position.position import Position

_COMPUTE = Compute()
_EMBEDDING = FourierEmbedding()
_RATES = ("position_dropout", "projection_dropout", "attention_dropout", "stochastic_depth")
_START = "truncated_normal"
_NUM_KEYS = 5


@dataclass(frozen=True, kw_only=True)
class XCiTConfig:
    """Config of an XCiT without a head; `construct.build` builds the model.

    Its attention has no logits between patches, so that it takes no position bias.

    Attributes:
      image_size: Image (height, width) in pixels; must be divisible by the patch size. No parameter depends on it.
      patch_size: Patch (height, width) in pixels: equal powers of 2. The stem halves the sides of an image so often.
      width: Number of channels of a token.
      depth: Number of blocks.
      num_heads: Number of attention heads; must divide the width.
      mlp_ratio: Ratio of the hidden channels of the MLP to the width.
      class_blocks: Number of final blocks that update the class token; they change the patches by normalisations.
      layer_scale: Initial gain of every residual branch (LayerScale).
      embedding: Positions, which a linear map takes to the width.
      norm_epsilon: Constant added to the variance in every layer normalisation.
      position_dropout: Dropout rate after the embedding; like the rates below, for training only.
      projection_dropout: Dropout rate after the attention's projection and each layer of the MLP.
      attention_dropout: Dropout rate of the attention weights.
      stochastic_depth: Stochastic-depth rate of every branch of every block but those of the class token.
      compute: Settings of the computation: dtype and loops.

    Raises:
      ConfigError: a value is out of range, or two values do not fit together.

    Source: El-Nouby et al., XCiT: Cross-Covariance Image Transformers (NeurIPS 2021); timm `xcit.py`.
    """

    image_size: tuple[int, int] = (224, 224)
    patch_size: tuple[int, int] = (16, 16)
    width: int
    depth: int
    num_heads: int
    mlp_ratio: float = 4.0
    class_blocks: int = 2
    layer_scale: float
    embedding: FourierEmbedding = _EMBEDDING
    norm_epsilon: float = 1e-6
    position_dropout: float = 0.0
    projection_dropout: float = 0.0
    attention_dropout: float = 0.0
    stochastic_depth: float = 0.0
    compute: Compute = _COMPUTE

    def __post_init__(self):
        for name in ("width", "depth", "class_blocks"):
            if vars(self)[name] < 1:
                raise ConfigError(f"{name} must be at least 1, got {vars(self)[name]}")
        for name in _RATES:
            if not 0 <= vars(self)[name] < 1:
                raise ConfigError(f"{name} must be in [0, 1), got {vars(self)[name]}")
        side = self.patch_size[0]
        if self.patch_size != (side, side) or side < 2 or side & (side - 1):
            raise ConfigError(f"patch_size {self.patch_size} must be equal powers of 2", do="choose (16, 16) or (8, 8)")
        if self.width % (side // 2):
            raise ConfigError(f"width {self.width} must be divisible by half the patch size, {side // 2}")
        grid_of(self.image_size, self.patch_size)
        self.block()

    @property
    def has_position_bias(self) -> bool:
        """Whether position terms are added to attention logits: False."""
        return False

    @property
    def position(self) -> Position:
        """Bias terms and learned embedding: neither."""
        return Position()

    @property
    def grid(self) -> Grid:
        """The (height, width) of the map, in patches."""
        return grid_of(self.image_size, self.patch_size)

    @property
    def stem_widths(self) -> tuple[int, ...]:
        """Number of channels after each convolution of the stem: the width, and before it halves of it."""
        halvings = self.patch_size[0].bit_length() - 1
        return tuple(self.width >> (halvings - 1 - index) for index in range(halvings))

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
        return _START

    def make(self, key: PRNGKeyArray) -> "XCiT":
        """Builds the model with newly drawn parameters."""
        return XCiT(self, key=key)

    def stages(self) -> tuple[Stage]:
        """Returns the only stage: all blocks that update patches."""
        path = "backbone.blocks"
        return (Stage(path=path, first=0, depth=self.depth, grid=self.grid, patch_size=self.patch_size),)

    def block(self) -> BlockConfig:
        """Returns the config of every block."""
        attention = AttentionConfig(
            width=self.width,
            num_heads=self.num_heads,
            grid=self.grid,
            attention_dropout=self.attention_dropout,
            projection_dropout=self.projection_dropout,
            start=_START,
            compute=self.compute,
        )
        return BlockConfig(
            attention=attention,
            mlp_ratio=self.mlp_ratio,
            norm_epsilon=self.norm_epsilon,
            layer_scale=self.layer_scale,
            drops_paths=self.stochastic_depth > 0,
        )


class XCiT(nnx.Module):
    """An XCiT; the parameters of its blocks are stacked on a leading axis.

    Parameters: `stem`, `position_projection`, `class_token`, `blocks`, `class_blocks` and `norm`.
    """

    def __init__(self, config: XCiTConfig, *, key: PRNGKeyArray):
        keys = jax.random.split(key, _NUM_KEYS)
        block = config.block()
        self.stem = ConvolutionStem(config.stem_widths, key=keys[0])
        # timm draws this layer as PyTorch draws convolutions.
        num_features = 2 * config.embedding.channels
        self.position_projection = Linear(num_features, config.width, start="fan_in_uniform", key=keys[1])
        self.class_token = nnx.Param(truncated_normal(keys[2], (1, 1, config.width), std=0.02))
        self.blocks = stack(lambda each: ChannelBlock(block, key=each), jax.random.split(keys[3], config.depth))
        class_keys = jax.random.split(keys[4], config.class_blocks)
        self.class_blocks = stack(lambda each: ClassBlock(block, key=each), class_keys)
        self.norm = LayerNorm(config.width, epsilon=config.norm_epsilon)
        self.config = config

    def features(self, images: Float[Array, "batch height width 3"], *, key: PRNGKeyArray | None = None) -> Features:
        """Computes the feature maps at the end of the backbone, in the dtype of the activations.

        A key enables dropout and stochastic depth, and batch normalisation by the statistics of the batch. The map
        before the final normalisation is read after the last block of the patches: the blocks of the class token
        normalise patches.
        """
        embed_key, blocks_key, class_key = split_key(key, 3)
        stream, _ = self._run(self.embed(images, key=embed_key), key=blocks_key)
        tokens = self.norm(self._run_class_blocks(stream, key=class_key))
        return Features(
            last=self._as_map(tokens[:, 1:]),
            pre_norm=self._as_map(stream),
            prefix=tokens[:, :1],
            pooled=tokens[:, 0],
        )

    def maps(
        self,
        images: Float[Array, "batch height width 3"],
        layers: Sequence[int],
        *,
        key: PRNGKeyArray | None = None,
    ) -> tuple[Float[Array, "batch rows columns channels"], ...]:
        """Computes the output maps of some blocks, counted from 1 to the depth, before any final normalisation.

        Raises:
          ConfigError: there is no such block.
        """
        embed_key, blocks_key, _ = split_key(key, 3)
        tokens, (stage,) = self.embed(images, key=embed_key), self.config.stages()
        streams = streams_after(layers, stage, lambda collect: self._run(tokens, key=blocks_key, collect=collect))
        return tuple(self._as_map(stream) for stream in streams)

    def block_map(
        self, images: Float[Array, "batch height width 3"], num_blocks: Int32[Array, ""], *, stage: int = 0
    ) -> Float[Array, "batch rows columns channels"]:
        """Computes the map after the first `num_blocks` blocks, without dropout; the only stage is 0."""
        del stage
        graph, stacked = nnx.split(self.blocks)
        compute, depth = self.config.compute, self.config.depth

        def run(stream: Array, params: PyTree) -> Array:
            return nnx.merge(graph, params)(stream, drop_rate=jnp.float32(0))

        def body(stream: Array, layer: tuple[Array, PyTree]) -> tuple[Array, None]:
            index, params = layer
            return jax.lax.cond(index < num_blocks, partial(run, params=params), _unchanged, stream), None

        layers, unroll = (jnp.arange(depth, dtype=jnp.int32), stacked), layers_per_turn(compute, depth)
        stream, _ = scan_layers(body, self.embed(images), layers, unroll=unroll, remat=compute.remat)
        return self._as_map(stream)

    def intermediates(self, images: Float[Array, "batch height width 3"]) -> tuple[Intermediates, ...]:
        """Returns nothing: there are no attention weights between patches."""
        del images
        return ()

    def attention_inputs(self, images: Float[Array, "batch height width 3"]) -> tuple[AttentionInputs, ...]:
        """Returns nothing: there is no attention between patches."""
        del images
        return ()

    def embed(
        self, images: Float[Array, "batch height width 3"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "batch tokens channels"]:
        """Embeds the patches and adds their positions.

        Raises:
          ConfigError: the images are not of the model's size.
        """
        config = self.config
        check_image_size(images, config.image_size)
        maps = self.stem(images.astype(config.compute.dtype), key=key)
        position = self.position_projection(jnp.asarray(config.embedding.features(config.grid)))
        maps = maps + jnp.broadcast_to(position.astype(maps.dtype), maps.shape)
        tokens = maps.reshape(maps.shape[0], -1, config.width)
        return dropout(tokens, rate=config.position_dropout, key=key)

    def _run(
        self, tokens: Float[Array, "batch tokens channels"], *, key: PRNGKeyArray | None, collect: bool = False
    ) -> tuple[Float[Array, "batch tokens channels"], Float[Array, "depth batch tokens channels"] | None]:
        """Runs all blocks; with `collect` also returns the stream entering each. A key updates running statistics."""
        config, rate = self.config, jnp.float32(self.config.stochastic_depth)
        graph, stacked = nnx.split(self.blocks)
        keys = None if key is None else jax.random.split(key, config.depth)

        def body(stream: Array, layer: tuple[PyTree, Array | None]) -> tuple[Array, PyTree]:
            params, block_key = layer
            block = nnx.merge(graph, params)
            outputs = block(stream, drop_rate=rate, key=block_key)
            return outputs, (stream if collect else None, None if block_key is None else block.statistics())

        unroll = layers_per_turn(config.compute, config.depth)
        stream, (entering, statistics) = scan_layers(
            body, tokens, (stacked, keys), unroll=unroll, remat=config.compute.remat
        )
        if statistics is not None:
            self.blocks.update(statistics)
        return stream, entering

    def _run_class_blocks(
        self, patches: Float[Array, "batch tokens channels"], *, key: PRNGKeyArray | None
    ) -> Float[Array, "batch tokens_and_class channels"]:
        """Puts the class token before the patches and runs its blocks."""
        graph, stacked = nnx.split(self.class_blocks)
        keys = None if key is None else jax.random.split(key, self.config.class_blocks)

        def body(tokens: Array, layer: tuple[PyTree, Array | None]) -> tuple[Array, None]:
            params, block_key = layer
            return update_all_tokens(nnx.merge(graph, params), tokens, key=block_key), None

        tokens = jnp.concatenate([repeated(self.class_token, patches), patches], axis=1)
        return jax.lax.scan(body, tokens, (stacked, keys))[0]

    def _as_map(self, tokens: Float[Array, "batch tokens channels"]) -> Float[Array, "batch rows columns channels"]:
        return tokens.reshape(tokens.shape[0], *self.config.grid, self.config.width)


def _unchanged(stream: Float[Array, "batch tokens channels"]) -> Float[Array, "batch tokens channels"]:
    return stream
