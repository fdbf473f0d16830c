"""The one entry point of attention: queries, keys, values and an offset table in, mixed values out."""

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
    mixing: HeadMixing | None = None,
    scale: float | None = None,
    dropout_rate: float = 0.0,
    dropout_key: PRNGKeyArray | None = None,
    kernel: KernelChoice = "auto",
    platform: Platform = "cpu",
) -> Float[Array, "batch tokens heads channels"]:
    """Computes softmax(scale query key^T + bias + mask) value, the bias expanded from an offset table.

    Args:
      query: queries of all tokens: prefix tokens first, then the patches row by row.
      key: keys, in the same order.
      value: values, in the same order.
      table: the sum of all position terms, in logits over offsets; None for no bias.
      grid: the (height, width) of the patches.
      prefix_tokens: number of tokens before the patches.
      prefix_bias: their logits, see `position.term.expand`; zero when None, or without a table.
      mask: logits of every window, where the batch is images by windows.
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
        head_channels=query.shape[-1],
        dtype=str(query.dtype),
        platform=platform,
    )
    chosen = choose(shape, kernel)
    if mixing is not None or drops_weights:
        bias = None if table is None else expand(table, grid, prefix_tokens=prefix_tokens, prefix_bias=prefix_bias)
        weights = attention_weights(attention_logits(query, key, scale=scale, bias=bias, mask=mask), mixing)
        return attend(weights, value, dropout_rate=dropout_rate, dropout_key=dropout_key)
    compute = partial(_compute, kernel=chosen, grid=grid, prefix_tokens=prefix_tokens, scale=scale)
    if splits_heads() or (chosen == "cudnn" and splits_anything()):
        tokens: tuple[Dimension, ...] = ("batch", None, "heads")
        compute = on_shards(compute, (tokens, tokens, tokens, _per_head(table), _per_head(prefix_bias), ()), tokens)
    return compute(query, key, value, table, prefix_bias, mask)


def _per_head(array: Array | None) -> tuple[Dimension, ...]:
    """Returns what the axes of an array [heads or 1, ...] count."""
    return () if array is None or len(array) == 1 else ("heads",)


def _compute(
    query: Float[Array, "batch tokens heads channels"],
    key: Float[Array, "batch tokens heads channels"],
    value: Float[Array, "batch tokens heads channels"],
    table: Float[Array, "#heads dy dx"] | None,
    prefix_bias: Float[Array, "#heads 3"] | None,
    mask: Float[Array, "windows tokens tokens"] | None,
    *,
    kernel: Kernel,
    grid: Grid,
    prefix_tokens: int,
    scale: float,
) -> Float[Array, "batch tokens heads channels"]:
    """Computes attention whose examples and heads are independent of each other, by a kernel."""
    if kernel == "rows":
        lattice = jnp.zeros((1, *offset_shape(grid)), jnp.float32) if table is None else table
        prefix_bias = None if table is None else prefix_bias
        scaled = query * jnp.asarray(scale, query.dtype)
        return attend_rows(scaled, key, value, lattice, grid=grid, prefix_bias=prefix_bias)
    bias = None
    if table is not None:
        bias = expand(table, grid, prefix_tokens=prefix_tokens, prefix_bias=prefix_bias)
    if kernel == "cudnn":
        return cudnn.attend_cudnn(query, key, value, bias, scale=scale)
    if kernel in ("whole", "einsum"):
        attend_pairs = attend_whole if kernel == "whole" else attend_einsum
        return attend_pairs(query * jnp.asarray(scale, query.dtype), key, value, bias, mask)
    return attend(attention_weights(attention_logits(query, key, scale=scale, bias=bias, mask=mask)), value)
