"""Attention one row of the image at a time: for a thousand tokens and more, where logits of all pairs do not fit.

The queries of one row of patches attend to all keys at once, so every softmax is complete and needs no running maximum.
The bias of those queries is a contiguous part of a small array, the offset table spread over its columns, of [heads,
width, 2 height - 1, width] numbers, after one number for each head and prefix token; neither the bias of all pairs nor
its gradient exists at any time; nor do the logits of Gaussians that every query has for itself, which are three numbers
a query. The backward pass computes the logits again and the weights from the saved sums of
exponentials, as FlashAttention does. The queries of prefix tokens are few, and `whole` computes them.

Source: Dao et al., FlashAttention (NeurIPS 2022), section 3.1, for recomputation; the blocks and the bias are ours.
"""

import math
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from gauss_vit.kernels.whole import attend_whole
from gauss_vit.ops.einsum import einsum
from gauss_vit.ops.grid import Grid, num_patches
from gauss_vit.ops.toeplitz import toeplitz
from gauss_vit.position.query_gaussian import gaussian_logits

Patches = Float[Array, "batch heads patches channels"]
Tokens = Float[Array, "batch heads tokens channels"]
RowOfQueries = Float[Array, "batch heads columns channels"]
RowOfLogits = Float[Array, "batch heads columns tokens"]
Bias = tuple[Float[Array, "#heads columns dy keys"], Float[Array, "heads prefix"]]
"""The spread table, and the logits from any patch to every prefix token."""
Gaussians = Float[Array, "batch heads patches 3"] | None
Saved = tuple[Array, Array, Array, Bias, Gaussians, Array, Array]


@dataclass(frozen=True, kw_only=True)
class _Map:
    """What is known of a map of patches before attention runs; see `attend_rows`."""

    grid: Grid
    largest_square: float


def attend_rows(
    query: Float[Array, "batch tokens heads channels"],
    key: Float[Array, "batch tokens heads channels"],
    value: Float[Array, "batch tokens heads channels"],
    table: Float[Array, "#heads dy dx"],
    *,
    grid: Grid,
    prefix_bias: Float[Array, "#heads 3"] | None = None,
    gaussians: Float[Array, "batch heads patches 3"] | None = None,
    largest_square: float = math.inf,
) -> Float[Array, "batch tokens heads channels"]:
    """Computes softmax(query key^T + bias + Gaussians) value, both of the latter expanded row by row.

    The softmax is in float32, products are in the type of the operands. There is no forward-mode derivative.

    Args:
      query: queries, scaled already: those of prefix tokens, if there are any, before those of the patches, row by row.
      key: keys, in the same order.
      value: values, in the same order.
      table: sum of all position terms, in logits over offsets.
      grid: (height, width) of the patches.
      prefix_bias: logits of prefix tokens, see `position.term.expand`; zero when None.
      gaussians: a Gaussian for the query of every patch, see `position.query_gaussian.QueryGaussian.predict`, or None.
      largest_square: square of an offset that longer ones count as in these Gaussians.
    """
    heads, num_prefix = query.shape[2], query.shape[1] - num_patches(grid)
    # [heads, query column, dy, key column], the offsets of rows reversed: the rows of keys ascend.
    spread = jnp.transpose(toeplitz(table.astype(jnp.float32))[:, ::-1], (0, 2, 1, 3))
    from_patch = jnp.zeros((1,), jnp.float32) if prefix_bias is None else prefix_bias[:, 1].astype(jnp.float32)
    bias = (spread, jnp.broadcast_to(from_patch[:, None], (heads, num_prefix)))
    heads_first = (jnp.transpose(part, (0, 2, 1, 3)) for part in (query[:, num_prefix:], key, value))
    shape = _Map(grid=grid, largest_square=largest_square)
    patches = jnp.transpose(_attend(shape, *heads_first, bias, gaussians), (0, 2, 1, 3))
    if num_prefix == 0:
        return patches
    rows = None if prefix_bias is None else _rows_of_prefix(prefix_bias, num_prefix, num_tokens=query.shape[1])
    return jnp.concatenate([attend_whole(query[:, :num_prefix], key, value, rows), patches], axis=1)


def _rows_of_prefix(
    prefix_bias: Float[Array, "#heads 3"], num_prefix: int, *, num_tokens: int
) -> Float[Array, "#heads prefix tokens"]:
    """Computes the bias of the queries of prefix tokens."""
    heads = prefix_bias.shape[0]
    to_patch, among = prefix_bias[:, 0, None, None], prefix_bias[:, 2, None, None]
    among = jnp.broadcast_to(among, (heads, num_prefix, num_prefix))
    to_patch = jnp.broadcast_to(to_patch, (heads, num_prefix, num_tokens - num_prefix))
    return jnp.concatenate([among, to_patch], axis=2)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _attend(shape: _Map, query: Patches, key: Tokens, value: Tokens, bias: Bias, gaussians: Gaussians) -> Patches:
    return _forward(shape, query, key, value, bias, gaussians)[0]


def _forward(
    shape: _Map, query: Patches, key: Tokens, value: Tokens, bias: Bias, gaussians: Gaussians
) -> tuple[Patches, Saved]:
    def row(_: None, inputs: tuple[Array, Array, Gaussians]) -> tuple[None, tuple[Array, Array]]:
        index, queries, own = inputs
        logits = _logits(shape, queries, key, bias, own, index=index)
        largest = jnp.max(logits, axis=-1, keepdims=True)
        weights = jnp.exp(logits - jnp.broadcast_to(largest, logits.shape))
        total = jnp.sum(weights, axis=-1, keepdims=True)
        mixed = einsum("bhqk,bhkc->bhqc", weights.astype(value.dtype), value, dtype=jnp.float32)
        mixed = mixed / jnp.broadcast_to(total, mixed.shape)
        return None, (mixed.astype(value.dtype), (largest + jnp.log(total))[..., 0])

    rows = _rows((query, gaussians), shape)
    _, (mixed, log_sums) = jax.lax.scan(row, None, (jnp.arange(shape.grid[0]), *rows))
    return _joined(mixed), (query, key, value, bias, gaussians, mixed, log_sums)


def _backward(shape: _Map, saved: Saved, cotangent: Patches) -> tuple[Patches, Tokens, Tokens, Bias, Gaussians]:
    query, key, value, bias, gaussians, mixed, log_sums = saved

    def row(
        sums: tuple[Array, Array, Bias], inputs: tuple[Array, Array, Gaussians, Array, Array, Array]
    ) -> tuple[tuple[Array, Array, Bias], tuple[Array, Gaussians]]:
        to_key, to_value, to_bias = sums
        index, queries, own, outer, outputs, log_sum = inputs
        logits = _logits(shape, queries, key, bias, own, index=index)
        weights = jnp.exp(logits - jnp.broadcast_to(log_sum[..., None], logits.shape))
        along = jnp.sum(outer.astype(jnp.float32) * outputs.astype(jnp.float32), axis=-1, keepdims=True)
        to_weights = einsum("bhqc,bhkc->bhqk", outer, value, dtype=jnp.float32)
        to_logits = weights * (to_weights - jnp.broadcast_to(along, to_weights.shape))
        narrow = to_logits.astype(query.dtype)
        to_query = einsum("bhqk,bhkc->bhqc", narrow, key)
        to_key = to_key + einsum("bhqk,bhqc->bhkc", narrow, queries, dtype=jnp.float32)
        to_value = to_value + einsum("bhqk,bhqc->bhkc", weights.astype(value.dtype), outer, dtype=jnp.float32)
        to_bias = _add_to_bias(shape.grid, to_bias, to_logits, index=index)
        return (to_key, to_value, to_bias), (to_query, _to_gaussians(shape, own, to_logits, index=index))

    start = jnp.zeros(key.shape, jnp.float32), jnp.zeros(value.shape, jnp.float32), jax.tree.map(jnp.zeros_like, bias)
    rows = _rows((query, gaussians, cotangent), shape)
    inputs = (jnp.arange(shape.grid[0]), *rows, mixed, log_sums)
    sums, (to_query, to_gaussians) = jax.lax.scan(row, start, inputs)
    to_key, to_value, to_bias = sums
    of_queries = None if to_gaussians is None else _joined(to_gaussians)
    return _joined(to_query), to_key.astype(key.dtype), to_value.astype(value.dtype), to_bias, of_queries


_attend.defvjp(_forward, _backward)


def _logits(
    shape: _Map, queries: RowOfQueries, key: Tokens, bias: Bias, gaussians: Gaussians, *, index: Int[Array, ""]
) -> RowOfLogits:
    """Computes the logits of one row of queries: for row i, offsets i - j ascend with the row j of the keys."""
    (spread, prefix), grid = bias, shape.grid
    logits = einsum("bhqc,bhkc->bhqk", queries, key, dtype=jnp.float32)
    patches = jax.lax.dynamic_slice_in_dim(spread, grid[0] - 1 - index, grid[0], axis=2)
    patches = patches.reshape(spread.shape[0], grid[1], num_patches(grid))
    if prefix.shape[1]:
        before = jnp.broadcast_to(prefix[:, None], (prefix.shape[0], grid[1], prefix.shape[1]))
        patches = jnp.broadcast_to(patches, (prefix.shape[0], *patches.shape[1:]))
        patches = jnp.concatenate([before, patches], axis=2)
    logits = logits + jnp.broadcast_to(patches[None], logits.shape)
    if gaussians is None:
        return logits
    own = _row_of_gaussians(shape, gaussians, index=index)
    return logits + jnp.pad(own, ((0, 0), (0, 0), (0, 0), (prefix.shape[1], 0)))


def _row_of_gaussians(
    shape: _Map, gaussians: Float[Array, "batch heads columns 3"], *, index: Int[Array, ""]
) -> Float[Array, "batch heads columns patches"]:
    """Computes the logits of the Gaussians of one row of queries, to all patches."""
    columns = jnp.arange(shape.grid[1], dtype=jnp.int32)
    places = (jnp.full_like(columns, index), columns)
    return gaussian_logits(gaussians, places, shape.grid, largest_square=shape.largest_square)


def _to_gaussians(shape: _Map, gaussians: Gaussians, to_logits: RowOfLogits, *, index: Int[Array, ""]) -> Gaussians:
    """Computes the gradient of one row's Gaussians."""
    if gaussians is None:
        return None
    _, pull_back = jax.vjp(lambda own: _row_of_gaussians(shape, own, index=index), gaussians)
    (to_own,) = pull_back(to_logits[..., to_logits.shape[-1] - num_patches(shape.grid) :])
    return to_own


def _add_to_bias(grid: Grid, to_bias: Bias, to_logits: RowOfLogits, *, index: Int[Array, ""]) -> Bias:
    """Adds the gradient of one row's logits, summed over the batch, to where its bias was cut from."""
    to_spread, to_prefix = to_bias
    summed = jnp.sum(to_logits, axis=0)
    to_prefix = to_prefix + jnp.sum(summed[..., : to_prefix.shape[1]], axis=1)
    summed = summed[..., to_prefix.shape[1] :]
    if to_spread.shape[0] == 1:
        summed = jnp.sum(summed, axis=0, keepdims=True)
    summed = summed.reshape(to_spread.shape[0], grid[1], grid[0], grid[1])
    start = grid[0] - 1 - index
    here = jax.lax.dynamic_slice_in_dim(to_spread, start, grid[0], axis=2)
    return jax.lax.dynamic_update_slice_in_dim(to_spread, here + summed, start, axis=2), to_prefix


def _rows(parts: PyTree, shape: _Map) -> PyTree:
    """Moves the rows of the patches of each part, [batch, heads, patches, ...], to the front."""

    def rows(part: Float[Array, "batch heads patches channels"]) -> Float[Array, "rows batch heads columns channels"]:
        batch, heads, _, channels = part.shape
        return jnp.moveaxis(part.reshape(batch, heads, *shape.grid, channels), 2, 0)

    return jax.tree.map(rows, parts)


def _joined(rows: Float[Array, "rows batch heads columns channels"]) -> Patches:
    joined = jnp.moveaxis(rows, 0, 2)
    return joined.reshape(*joined.shape[:2], -1, joined.shape[-1])
