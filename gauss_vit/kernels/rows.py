"""Attention one row of the image at a time: for a thousand tokens and more, where logits of all pairs do not fit.

Queries of one row of patches meet all keys at once, so every softmax is complete and needs no running maximum. The bias
of those queries is a contiguous part of a small array, the offset table spread over its columns, of [heads, width,
2 height - 1, width] numbers; neither the bias of all pairs nor its gradient exists at any time. The backward pass
computes the logits anew from the saved sums of exponentials, as FlashAttention does.

Source: Dao et al., FlashAttention (NeurIPS 2022), section 3.1, for recomputation; the blocks and the bias are ours.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gauss_vit.ops.contract import contract
from gauss_vit.ops.grid import Grid, num_patches
from gauss_vit.ops.toeplitz import toeplitz

HeadsFirst = Float[Array, "batch heads tokens channels"]
RowOfQueries = Float[Array, "batch heads columns channels"]
Spread = Float[Array, "#heads columns dy keys"]
Saved = tuple[Array, Array, Array, Array, Array, Array]


def attend_rows(
    query: Float[Array, "batch tokens heads channels"],
    key: Float[Array, "batch tokens heads channels"],
    value: Float[Array, "batch tokens heads channels"],
    table: Float[Array, "#heads dy dx"],
    *,
    grid: Grid,
) -> Float[Array, "batch tokens heads channels"]:
    """Computes softmax(query key^T + bias) value, the bias expanded from an offset table row by row.

    The softmax is in float32, products are in the type of the operands. There is no forward-mode derivative.

    Args:
      query: queries of the patches, row by row, scaled already.
      key: keys.
      value: values.
      table: the sum of all position terms, in logits over offsets.
      grid: the (height, width) of the patches.
    """
    # [heads, dy, query column, key column], the offsets of rows reversed: the rows of keys ascend.
    spread = jnp.transpose(toeplitz(table.astype(jnp.float32))[:, ::-1], (0, 2, 1, 3))
    query, key, value = (jnp.transpose(part, (0, 2, 1, 3)) for part in (query, key, value))
    return jnp.transpose(_attend(grid, query, key, value, spread), (0, 2, 1, 3))


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _attend(grid: Grid, query: HeadsFirst, key: HeadsFirst, value: HeadsFirst, spread: Spread) -> HeadsFirst:
    return _forward(grid, query, key, value, spread)[0]


def _forward(
    grid: Grid, query: HeadsFirst, key: HeadsFirst, value: HeadsFirst, spread: Spread
) -> tuple[HeadsFirst, Saved]:
    def row(_: None, inputs: tuple[Array, Array]) -> tuple[None, tuple[Array, Array]]:
        index, queries = inputs
        logits = _logits(grid, queries, key, spread, index=index)
        largest = jnp.max(logits, axis=-1, keepdims=True)
        weights = jnp.exp(logits - jnp.broadcast_to(largest, logits.shape))
        total = jnp.sum(weights, axis=-1, keepdims=True)
        mixed = contract("bhqk,bhkc->bhqc", weights.astype(value.dtype), value, dtype=jnp.float32)
        mixed = mixed / jnp.broadcast_to(total, mixed.shape)
        return None, (mixed.astype(value.dtype), (largest + jnp.log(total))[..., 0])

    _, (mixed, log_sums) = jax.lax.scan(row, None, (jnp.arange(grid[0]), _rows(query, grid)))
    return _joined(mixed), (query, key, value, spread, mixed, log_sums)


def _backward(grid: Grid, saved: Saved, cotangent: HeadsFirst) -> tuple[HeadsFirst, HeadsFirst, HeadsFirst, Spread]:
    query, key, value, spread, mixed, log_sums = saved

    def row(sums: tuple[Array, Array, Array], inputs: tuple[Array, ...]) -> tuple[tuple[Array, Array, Array], Array]:
        to_key, to_value, to_spread = sums
        index, queries, outer, outputs, log_sum = inputs
        logits = _logits(grid, queries, key, spread, index=index)
        weights = jnp.exp(logits - jnp.broadcast_to(log_sum[..., None], logits.shape))
        along = jnp.sum(outer.astype(jnp.float32) * outputs.astype(jnp.float32), axis=-1, keepdims=True)
        to_weights = contract("bhqc,bhkc->bhqk", outer, value, dtype=jnp.float32)
        to_logits = weights * (to_weights - jnp.broadcast_to(along, to_weights.shape))
        narrow = to_logits.astype(query.dtype)
        to_query = contract("bhqk,bhkc->bhqc", narrow, key)
        to_key = to_key + contract("bhqk,bhqc->bhkc", narrow, queries, dtype=jnp.float32)
        to_value = to_value + contract("bhqk,bhqc->bhkc", weights.astype(value.dtype), outer, dtype=jnp.float32)
        return (to_key, to_value, _add_to_spread(grid, to_spread, to_logits, index=index)), to_query

    start = (jnp.zeros(key.shape, jnp.float32), jnp.zeros(value.shape, jnp.float32), jnp.zeros_like(spread))
    inputs = (jnp.arange(grid[0]), _rows(query, grid), _rows(cotangent, grid), mixed, log_sums)
    (to_key, to_value, to_spread), to_query = jax.lax.scan(row, start, inputs)
    return _joined(to_query), to_key.astype(key.dtype), to_value.astype(value.dtype), to_spread


_attend.defvjp(_forward, _backward)


def _logits(
    grid: Grid, queries: RowOfQueries, key: HeadsFirst, spread: Spread, *, index: Int[Array, ""]
) -> Float[Array, "batch heads columns tokens"]:
    """Computes the logits of one row of queries: for row i, offsets i - j ascend with the row j of the keys."""
    logits = contract("bhqc,bhkc->bhqk", queries, key, dtype=jnp.float32)
    bias = jax.lax.dynamic_slice_in_dim(spread, grid[0] - 1 - index, grid[0], axis=2)
    bias = bias.reshape(spread.shape[0], grid[1], num_patches(grid))
    return logits + jnp.broadcast_to(bias[None], logits.shape)


def _add_to_spread(
    grid: Grid, to_spread: Spread, to_logits: Float[Array, "batch heads columns tokens"], *, index: Int[Array, ""]
) -> Spread:
    """Adds the gradient of one row's logits, summed over the batch, to where its bias was cut from."""
    summed = jnp.sum(to_logits, axis=0)
    if to_spread.shape[0] == 1:
        summed = jnp.sum(summed, axis=0, keepdims=True)
    summed = summed.reshape(to_spread.shape[0], grid[1], grid[0], grid[1])
    start = grid[0] - 1 - index
    here = jax.lax.dynamic_slice_in_dim(to_spread, start, grid[0], axis=2)
    return jax.lax.dynamic_update_slice_in_dim(to_spread, here + summed, start, axis=2)


def _rows(values: HeadsFirst, grid: Grid) -> Float[Array, "rows batch heads columns channels"]:
    batch, heads, _, channels = values.shape
    return jnp.moveaxis(values.reshape(batch, heads, *grid, channels), 2, 0)


def _joined(rows: Float[Array, "rows batch heads columns channels"]) -> HeadsFirst:
    joined = jnp.moveaxis(rows, 0, 2)
    return joined.reshape(*joined.shape[:2], -1, joined.shape[-1])
