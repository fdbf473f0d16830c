"""Multi-head self-attention over a grid of patches, with position terms on its logits."""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray

from gauss_vit.errors import ConfigError
from gauss_vit.kernels.attention import attention
from gauss_vit.kernels.choice import AttentionShape
from gauss_vit.kernels.reference import HeadMixing, attend, attention_logits, attention_weights
from gauss_vit.models.compute import Compute
from gauss_vit.models.layer_position import LayerPosition, PositionBias
from gauss_vit.models.layers import Init, Linear
from gauss_vit.models.predicted_gaussian import PredictedGaussian
from gauss_vit.models.rotation import Rotation
from gauss_vit.ops.dense import dense
from gauss_vit.ops.dropout import dropout, split_key
from gauss_vit.ops.grid import Grid, num_patches
from gauss_vit.ops.placement import placed, splits_heads
from gauss_vit.position import term
from gauss_vit.position.query_gaussian import QueryGaussian
from gauss_vit.position.rotary import Rotary
from gauss_vit.position.term import BiasTerm

_COMPUTE = Compute()
_LARGEST_COSINE_SCALE = 100.0


@dataclass(frozen=True, kw_only=True)
class AttentionConfig:
    """Config of an attention layer.

    Attributes:
      width: Number of channels of a token.
      num_heads: Number of attention heads; must divide the width.
      grid: The (height, width) of the patches, or of a window of them.
      prefix_tokens: Number of tokens before the patches, such as a class token.
      terms: Position biases of the logits; their sum is added.
      rotary: Rotary embedding of queries and keys, or None.
      query_gaussian: Gaussian that every query predicts for itself, or None.
      biases: Which of the query, key and value layers have a bias: "all", "none", or "query_value" (BEiT, SwinV2).
      similarity: Whether logits are dot products over the square root of the channels of a head ("product"), or cosines
        times a learned scale of each head, at most 100 ("cosine", SwinV2).
      mixes_heads: Whether heads are mixed before and after the softmax (talking heads, CaiT).
      attention_dropout: Dropout rate of the attention weights, in training.
      projection_dropout: Dropout rate of the outputs, in training.
      start: Initialiser of the dense layers.
      compute: Settings of the computation: dtype, kernels and loops.

    Raises:
      ConfigError: the width is not divisible by the number of heads, or the channels of a rotated head are not by 4.
    """

    width: int
    num_heads: int
    grid: Grid
    prefix_tokens: int = 0
    terms: tuple[BiasTerm, ...] = ()
    rotary: Rotary | None = None
    query_gaussian: QueryGaussian | None = None
    biases: Literal["all", "none", "query_value"] = "all"
    similarity: Literal["product", "cosine"] = "product"
    mixes_heads: bool = False
    attention_dropout: float = 0.0
    projection_dropout: float = 0.0
    start: Init = "truncated_normal"
    compute: Compute = _COMPUTE

    def __post_init__(self):
        if self.num_heads < 1 or self.width % self.num_heads:
            divisors = [heads for heads in range(1, self.width + 1) if self.width % heads == 0]
            nearest = min(divisors, key=lambda heads: abs(heads - self.num_heads))
            raise ConfigError(
                f"width {self.width} is not divisible by num_heads {self.num_heads}",
                do=f"choose {nearest}, for example",
            )
        if self.rotary is not None and self.head_channels % 4:
            raise ConfigError(
                f"a rotary embedding needs heads of a multiple of 4 channels, and these have {self.head_channels}",
                do="change width or num_heads",
            )

    @property
    def head_channels(self) -> int:
        """Number of channels of a head."""
        return self.width // self.num_heads

    def shape(self, *, has_mask: bool = False, is_training: bool = True) -> AttentionShape:
        """Returns the properties that the choice of a kernel depends on."""
        return AttentionShape(
            num_patches=num_patches(self.grid),
            prefix_tokens=self.prefix_tokens,
            has_mask=has_mask,
            mixes_heads=self.mixes_heads,
            drops_weights=is_training and self.attention_dropout > 0,
            has_gaussians=self.query_gaussian is not None,
            head_channels=self.head_channels,
            dtype=self.compute.dtype,
            platform=self.compute.platform,
        )


class Operands(NamedTuple):
    """What attention is computed from.

    Attributes:
      query: Queries, rotated.
      key: Keys, rotated.
      value: Values.
      gaussians: Gaussians of the queries, see `QueryGaussian.predict`, or None.
    """

    query: Float[Array, "batch query heads channels"]
    key: Float[Array, "batch key heads channels"]
    value: Float[Array, "batch key heads channels"]
    gaussians: Float[Array, "batch heads predicted 3"] | None


class Attention(nnx.Module):
    """Self-attention with the sum of its position terms added to the logits of queries and keys, rotated or not.

    Parameters: `query_key_value` [width, 3 width] (query, key and value in this order, each grouped by head),
    `projection` [width, width], `bias.<term>.<parameter>`, and, depending on the config, `rotary.<parameter>`,
    `query_gaussian.<parameter>`, `query_bias` and `value_bias` [width], `logit_scale` [heads], `logits_mixing` and
    `weights_mixing` [heads, heads].
    """

    def __init__(self, config: AttentionConfig, *, key: PRNGKeyArray, place: Float[Array, ""] | None = None):
        keys = jax.random.split(key, 5)
        width, heads, start = config.width, config.num_heads, config.start
        self.query_key_value = Linear(width, 3 * width, start=start, key=keys[0], use_bias=config.biases == "all")
        has_two = config.biases == "query_value"
        self.query_bias = nnx.Param(jnp.zeros((width,), jnp.float32)) if has_two else None
        self.value_bias = nnx.Param(jnp.zeros((width,), jnp.float32)) if has_two else None
        self.projection = Linear(width, width, start=start, key=keys[1], split="inputs")
        self.bias = PositionBias(config.terms, grid=config.grid, num_heads=heads, key=keys[2], place=place)
        self.rotary = _rotation(config, key=jax.random.fold_in(keys[2], 1))
        self.query_gaussian = _predicted_gaussian(config, key=jax.random.fold_in(keys[2], 2))
        is_cosine = config.similarity == "cosine"
        self.logit_scale = nnx.Param(jnp.full((heads,), jnp.log(10.0), jnp.float32)) if is_cosine else None
        self.logits_mixing = Linear(heads, heads, start=start, key=keys[3]) if config.mixes_heads else None
        self.weights_mixing = Linear(heads, heads, start=start, key=keys[4]) if config.mixes_heads else None
        self.config = config

    def __call__(
        self,
        tokens: Float[Array, "batch tokens channels"],
        *,
        shared: Float[Array, "#heads dy dx"] | None = None,
        mask: Float[Array, "windows tokens tokens"] | None = None,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "batch tokens channels"]:
        """Applies attention to the tokens; a key enables dropout.

        Args:
          tokens: Prefix tokens first, then the patches row by row.
          shared: Offset table that all layers share; added to this layer's own.
          mask: Logits added in every window, if the batch is images by windows.
          key: Random key; None means inference.
        """
        bias_key, mix_key = split_key(key, 2)
        return self.mix(tokens, self.position(shared=shared, key=bias_key), mask=mask, key=mix_key)

    def position(
        self, *, shared: Float[Array, "#heads dy dx"] | None = None, key: PRNGKeyArray | None = None
    ) -> LayerPosition:
        """Computes what this layer's position information, and a shared offset table, come to."""
        prefix_tokens = self.config.prefix_tokens
        angles = None if self.rotary is None else self.rotary.angles(prefix_tokens=prefix_tokens)
        table = self.table(shared=shared, key=key)
        return LayerPosition(table=table, angles=angles, gaussian=self.query_gaussian)

    def table(
        self, *, shared: Float[Array, "#heads dy dx"] | None = None, key: PRNGKeyArray | None = None
    ) -> Float[Array, "#heads dy dx"] | None:
        """Computes the sum of this layer's offset tables and a shared one; None if there are none."""
        tables = self.bias.tables(key=key)
        if shared is not None:
            tables = {**tables, "shared": shared}
        return term.add(tables, self.config.grid) if tables else None

    def mix(
        self,
        tokens: Float[Array, "batch tokens channels"],
        position: LayerPosition,
        *,
        mask: Float[Array, "windows tokens tokens"] | None = None,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "batch tokens channels"]:
        """Applies attention to the tokens with given position information."""
        config = self.config
        weights_key, output_key = split_key(key, 2)
        operands = self._project(tokens, position)
        mixed = attention(
            operands.query,
            operands.key,
            operands.value,
            table=position.table,
            grid=config.grid,
            prefix_tokens=config.prefix_tokens,
            prefix_bias=self.bias.prefix(),
            mask=mask,
            gaussians=operands.gaussians,
            largest_square=math.inf if position.gaussian is None else position.gaussian.largest_square,
            mixing=self._mixing(tokens.dtype),
            scale=self._scale(),
            dropout_rate=config.attention_dropout,
            dropout_key=weights_key,
            kernel=config.compute.kernel,
            platform=config.compute.platform,
        )
        outputs = placed(self.projection(mixed.reshape(tokens.shape)), "batch")
        return dropout(outputs, rate=config.projection_dropout, key=output_key)

    def logits_bias(self, *, shared: Float[Array, "#heads dy dx"] | None = None) -> Float[Array, "#heads query key"]:
        """Computes the sum of the terms' biases for every pair of tokens, in logits; zeros if there are no terms."""
        config = self.config
        table = self.table(shared=shared)
        table = term.add({}, config.grid) if table is None else table
        return term.expand(table, config.grid, prefix_tokens=config.prefix_tokens, prefix_bias=self.bias.prefix())

    def weights(
        self,
        tokens: Float[Array, "batch tokens channels"],
        *,
        shared: Float[Array, "#heads dy dx"] | None = None,
        mask: Float[Array, "windows tokens tokens"] | None = None,
    ) -> Float[Array, "batch heads query key"]:
        """Computes the attention weights, float32, by the reference formula, whichever kernel the layer uses."""
        operands = self._project(tokens, self.position())
        logits = self._logits(operands, bias=self.logits_bias(shared=shared), mask=mask)
        return attention_weights(logits, self._mixing(tokens.dtype))

    def at_token(
        self,
        tokens: Float[Array, "batch tokens channels"],
        index: Int[Array, ""],
        *,
        shared: Float[Array, "#heads dy dx"] | None = None,
    ) -> Float[Array, "batch 1 channels"]:
        """Computes the output of the layer at one token, without dropout.

        Args:
          tokens: Prefix tokens first, then the patches row by row.
          index: Index of the token; prefix tokens count.
          shared: Offset table that all layers share; added to this layer's own.
        """
        operands = self._project(tokens, self.position(), index=index)
        bias = jax.lax.dynamic_slice_in_dim(self.logits_bias(shared=shared), index, 1, axis=1)
        logits = self._logits(operands, bias=bias, index=index)
        mixed = attend(attention_weights(logits, self._mixing(tokens.dtype)), operands.value)
        return self.projection(mixed.reshape(tokens.shape[0], 1, tokens.shape[2]))

    def _project(
        self,
        tokens: Float[Array, "batch tokens channels"],
        position: LayerPosition,
        *,
        index: Int[Array, ""] | None = None,
    ) -> Operands:
        """Computes what attention is computed from, for the query of one token where an index is given."""
        angles, predicted = position.angles, position.gaussian
        if index is None:
            raw, keys, value = self._heads(tokens, slice(0, 3))
            of_patches, turned = raw[:, self.config.prefix_tokens :], angles
        else:
            (raw,) = self._heads(jax.lax.dynamic_slice_in_dim(tokens, index, 1, axis=1), slice(0, 1))
            keys, value = self._heads(tokens, slice(1, 3))
            turned = None if angles is None else jax.lax.dynamic_slice_in_dim(angles, index, 1, axis=1)
            of_patches = raw
        query, keys = self._compared(raw, keys)
        return Operands(
            query=self._rotated(query, turned),
            key=self._rotated(keys, angles),
            value=value,
            gaussians=None if predicted is None else predicted(of_patches),
        )

    def _logits(
        self,
        operands: Operands,
        *,
        bias: Float[Array, "#heads query key"],
        mask: Float[Array, "windows query key"] | None = None,
        index: Int[Array, ""] | None = None,
    ) -> Float[Array, "batch heads query key"]:
        """Computes logits by the reference formula, those of one token where an index is given."""
        own = None
        if self.query_gaussian is not None and operands.gaussians is not None:
            own = self.query_gaussian.logits(operands.gaussians, prefix_tokens=self.config.prefix_tokens, index=index)
        query, key = operands.query, operands.key
        return attention_logits(query, key, scale=self._scale(), bias=bias, mask=mask, gaussians=own)

    def _rotated(
        self,
        values: Float[Array, "batch tokens heads channels"],
        angles: Float[Array, "#heads tokens pairs"] | None,
    ) -> Float[Array, "batch tokens heads channels"]:
        return values if self.rotary is None or angles is None else self.rotary(values, angles)

    def _heads(self, tokens: Float[Array, "batch tokens channels"], parts: slice) -> tuple[Array, ...]:
        """Computes a slice of (query, key, value), each [batch, tokens, heads, channels of a head]."""
        config = self.config
        kernel, bias = self.query_key_value.arrays()
        if self.query_bias is not None and self.value_bias is not None:
            query_bias, value_bias = self.query_bias[...], self.value_bias[...]
            bias = jnp.concatenate([query_bias, jnp.zeros_like(query_bias), value_bias])
        if splits_heads():
            return tuple(self._split_heads(tokens, kernel, bias, part) for part in range(parts.start, parts.stop))
        columns = slice(parts.start * config.width, parts.stop * config.width)
        whole = placed(kernel[:, columns], None, None)
        joint = dense(tokens, whole, None if config.biases == "none" else bias[columns])
        split = joint.reshape(*tokens.shape[:2], -1, config.num_heads, config.head_channels)
        return tuple(part[:, :, 0] for part in jnp.split(split, split.shape[2], axis=2))

    def _split_heads(
        self,
        tokens: Float[Array, "batch tokens channels"],
        kernel: Float[Array, "channels columns"],
        bias: Float[Array, " columns"],
        part: int,
    ) -> Float[Array, "batch tokens heads head_channels"]:
        """Computes query (0), key (1) or value (2), each device its own heads of it.

        One product for all three would have them in one axis, which devices would split into other parts than heads.
        """
        config = self.config
        columns = slice(part * config.width, (part + 1) * config.width)
        own = placed(kernel[:, columns], None, "heads")
        values = dense(tokens, own, None if config.biases == "none" else placed(bias[columns], "heads"))
        return values.reshape(*tokens.shape[:2], config.num_heads, config.head_channels)

    def _compared(
        self,
        query: Float[Array, "batch query heads channels"],
        key: Float[Array, "batch key heads channels"],
    ) -> tuple[Float[Array, "batch query heads channels"], Float[Array, "batch key heads channels"]]:
        """Normalises and scales queries and keys for cosine attention; returns them unchanged for dot products."""
        if self.logit_scale is None:
            return query, key
        limit = jnp.log(jnp.float32(_LARGEST_COSINE_SCALE))
        scale = jnp.exp(jnp.minimum(self.logit_scale[...], limit))[None, None, :, None]
        unit = _normalised(query)
        scaled = unit * jnp.broadcast_to(scale, unit.shape)
        return scaled.astype(query.dtype), _normalised(key).astype(key.dtype)

    def _scale(self) -> float:
        channels = self.config.head_channels
        return channels**-0.5 if self.config.similarity == "product" else 1.0

    def _mixing(self, dtype: jnp.dtype) -> HeadMixing | None:
        """Returns the linear maps over heads, with kernels in the dtype of the activations, or None."""
        if self.logits_mixing is None or self.weights_mixing is None:
            return None
        (before, before_bias), (after, after_bias) = self.logits_mixing.arrays(), self.weights_mixing.arrays()
        return HeadMixing(before.astype(dtype), before_bias, after.astype(dtype), after_bias)


def _rotation(config: AttentionConfig, *, key: PRNGKeyArray) -> Rotation | None:
    if config.rotary is None:
        return None
    return Rotation(config.rotary, grid=config.grid, num_heads=config.num_heads, channels=config.head_channels, key=key)


def _predicted_gaussian(config: AttentionConfig, *, key: PRNGKeyArray) -> PredictedGaussian | None:
    if config.query_gaussian is None:
        return None
    return PredictedGaussian(config.query_gaussian, grid=config.grid, channels=config.head_channels, key=key)


def _normalised(vectors: Float[Array, "batch tokens heads channels"]) -> Float[Array, "batch tokens heads channels"]:
    """Divides every vector by its length, at least 1e-12, in float32, as torch's `normalize` does."""
    values = vectors.astype(jnp.float32)
    squared = jnp.sum(jnp.square(values), axis=-1, keepdims=True)
    # The maximum is taken before the root, so that the gradient at a vector of zeros is finite.
    return values * jnp.broadcast_to(jax.lax.rsqrt(jnp.maximum(squared, 1e-24)), values.shape)
