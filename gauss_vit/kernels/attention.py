"""The one entry point of attention: queries, keys, values and an offset table in, mixed values out."""

import math
from dataclasses import dataclass
from functools import partial

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.kernels import cudnn
from gauss_vit.kernels.choice import AttentionShape, Kernel, KernelChoice, Platform, choose
from gauss_vit.kernels.einsum import attend_einsum
from gauss_vit.kernels.reference import HeadMixing, attend, attention_logits, attention_weights
from gauss_vit.kernels.rows import attend_rows
from gauss_vit.kernels.whole import attend_whole
from gauss_vit.ops.grid import Grid, num_patches, offset_shape
from gauss_vit.ops.placement import Dimension, on_shards, splits_anything, splits_heads
from gauss_vit.position.query_gaussian import expand_gaussians
from gauss_vit.position.term import expand


def attention(
    query: Float[Array, "batch tokens heads channels"],
    key: Float[Array, "batch tokens heads channels"],
    value: Float[Array, "batch tokens heads channels"],
    *,
    table: Float[Array, "#heads dy dx"] | None,
    grid: Grid,
    prefix_tokens: int = 0,
    prefix_bias: Float[Array, "#heads 3"] | None = None,
    mask: Float[Array, "windows tokens tokens"] | None = None,
    gaussians: Float[Array, "batch heads patches 3"] | None = None,
    largest_square: float = math.inf,
    mixing: HeadMixing | None = None,
    scale: float | None = None,
    dropout_rate: float = 0.0,
    dropout_key: PRNGKeyArray | None = None,
    kernel: KernelChoice = "auto",
    platform: Platform = "cpu",
) -> Float[Array, "batch tokens heads channels"]:
    """Computes softmax(scale query key^T + bias + mask + Gaussians) value, the bias from an offset table.

    Args:
      query: queries of all tokens: prefix tokens first, then the patches row by row.
      key: keys, in the same order.
      value: values, in the same order.
      table: the sum of all position terms, in logits over offsets; None for no bias.
      grid: the (height, width) of the patches.
      prefix_tokens: number of tokens before the patches.
      prefix_bias: their logits, see `position.term.expand`; zero when None, or without a table.
      mask: logits of every window, where the batch is images by windows.
      gaussians: a Gaussian for the query of every patch, see `position.query_gaussian.QueryGaussian.predict`, or None.
      largest_square: square of an offset that longer ones count as in these Gaussians.
      mixing: maps over the heads before and after the softmax.
      scale: factor of the products; 1 / sqrt(channels) when None.
      dropout_rate: rate at which attention weights are dropped when there is a key.
      dropout_key: randomness; None means inference.
      kernel: kernel that computes it, see `kernels.choice`; all agree up to rounding.
      platform: platform that the kernel is chosen for.

    Raises:
      ConfigError: the kernel cannot compute this attention.
    """
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    drops_weights = dropout_key is not None and dropout_rate > 0
    shape = AttentionShape(
        num_patches=num_patches(grid),
        prefix_tokens=prefix_tokens,
        has_mask=mask is not None,
        mixes_heads=mixing is not None,
        drops_weights=drops_weights,
        has_gaussians=gaussians is not None,
        head_channels=query.shape[-1],
        dtype=str(query.dtype),
        platform=platform,
    )
    chosen = choose(shape, kernel)
    sizes = _Sizes(grid=grid, prefix_tokens=prefix_tokens, scale=scale, largest_square=largest_square)
    if mixing is not None or drops_weights:
        logits = _logits(query, key, table, prefix_bias, mask, gaussians, sizes=sizes)
        return attend(attention_weights(logits, mixing), value, dropout_rate=dropout_rate, dropout_key=dropout_key)
    compute = partial(_compute, kernel=chosen, sizes=sizes)
    if splits_heads() or (chosen == "cudnn" and splits_anything()):
        tokens: tuple[Dimension, ...] = ("batch", None, "heads")
        own: tuple[Dimension, ...] = () if gaussians is None else ("batch", "heads")
        split = (tokens, tokens, tokens, _per_head(table), _per_head(prefix_bias), (), own)
        compute = on_shards(compute, split, tokens)
    return compute(query, key, value, table, prefix_bias, mask, gaussians)


def _per_head(array: Array | None) -> tuple[Dimension, ...]:
    """Returns what the axes of an array [heads or 1, ...] count."""
    return () if array is None or len(array) == 1 else ("heads",)


@dataclass(frozen=True, kw_only=True)
class _Sizes:
    """What is known of an attention before it runs; see `attention`."""

    grid: Grid
    prefix_tokens: int
    scale: float
    largest_square: float


def _compute(
    query: Float[Array, "batch tokens heads channels"],
    key: Float[Array, "batch tokens heads channels"],
    value: Float[Array, "batch tokens heads channels"],
    table: Float[Array, "#heads dy dx"] | None,
    prefix_bias: Float[Array, "#heads 3"] | None,
    mask: Float[Array, "windows tokens tokens"] | None,
    gaussians: Float[Array, "batch heads patches 3"] | None,
    *,
    kernel: Kernel,
    sizes: _Sizes,
) -> Float[Array, "batch tokens heads channels"]:
    """Computes attention whose examples and heads are independent of each other, by a kernel."""
    grid, scaled = sizes.grid, query * jnp.asarray(sizes.scale, query.dtype)
    if kernel == "rows":
        lattice = jnp.zeros((1, *offset_shape(grid)), jnp.float32) if table is None else table
        prefix_bias = None if table is None else prefix_bias
        square = sizes.largest_square
        return attend_rows(
            scaled, key, value, lattice, grid=grid, prefix_bias=prefix_bias, gaussians=gaussians, largest_square=square
        )
    if kernel == "reference":
        return attend(attention_weights(_logits(query, key, table, prefix_bias, mask, gaussians, sizes=sizes)), value)
    bias = _bias(table, prefix_bias, sizes)
    if kernel == "cudnn":
        return cudnn.attend_cudnn(query, key, value, bias, scale=sizes.scale)
    attend_pairs = attend_whole if kernel == "whole" else attend_einsum
    return attend_pairs(scaled, key, value, bias, mask)


def _logits(
    query: Float[Array, "batch tokens heads channels"],
    key: Float[Array, "batch tokens heads channels"],
    table: Float[Array, "#heads dy dx"] | None,
    prefix_bias: Float[Array, "#heads 3"] | None,
    mask: Float[Array, "windows tokens tokens"] | None,
    gaussians: Float[Array, "batch heads patches 3"] | None,
    *,
    sizes: _Sizes,
) -> Float[Array, "batch heads query key"]:
    """Computes all logits, by the reference formula."""
    of_queries = None
    if gaussians is not None:
        of_queries = expand_gaussians(
            gaussians, sizes.grid, largest_square=sizes.largest_square, prefix_tokens=sizes.prefix_tokens
        )
    bias = _bias(table, prefix_bias, sizes)
    return attention_logits(query, key, scale=sizes.scale, bias=bias, mask=mask, gaussians=of_queries)


def _bias(
    table: Float[Array, "#heads dy dx"] | None, prefix_bias: Float[Array, "#heads 3"] | None, sizes: _Sizes
) -> Float[Array, "#heads query key"] | None:
    """Expands the offset table, if there is one."""
    if table is None:
        return None
    return expand(table, sizes.grid, prefix_tokens=sizes.prefix_tokens, prefix_bias=prefix_bias)
