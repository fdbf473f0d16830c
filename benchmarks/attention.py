"""Times attention with a position bias, forward and backward, by every kernel, and asks the compiler for its memory.

python -m benchmarks.attention [--tokens=196,784,3136,4096] [--rounds=5] [--dtype=float32] [--batch_size=1]
    [--prefix_tokens=0] [--onednn] [--huge_pages] [--threads=1] [--core=0] [--out=F.json]

Six heads of 64 channels, and as bias a free table over offsets plus the Gaussian, one value each of amplitude and
sigma. Differentiated is by queries, keys, values, table, amplitude and sigma. "port" is what one writes first, and what
a line-by-line port of the PyTorch code does: the table is gathered to [heads, query, key] and added to the logits,
whose softmax is differentiated automatically. "whole" is `kernels.whole`, and "chosen" what `kernels.attention` picks
for the size; on a GPU "unbiased" is cuDNN's without a bias. Prefix tokens come on top of the tokens, and have no bias.
Memory is what the compiler sets aside besides arguments and results. Ratios are to the port.
"""

import argparse
import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from benchmarks import process, rows, timing
from benchmarks.rows import Row
from gauss_vit.kernels.attention import attention
from gauss_vit.kernels.reference import attend, attention_logits, attention_weights
from gauss_vit.kernels.whole import attend_whole
from gauss_vit.ops.grid import Grid, num_patches, offset_shape
from gauss_vit.position.gaussian import Gaussian
from gauss_vit.position.relative import RelativeTable
from gauss_vit.position.term import expand, table

HEADS, CHANNELS = 6, 64
TERMS = (RelativeTable(), Gaussian())
BAR_TOKENS = 4096
Kernel = Callable[..., Float[Array, "batch tokens heads channels"]]


def offset_index(grid: Grid) -> Int[np.ndarray, "query key"]:
    """Numbers the offset of every pair of patches, row by row in a table over all offsets."""
    row, column = (axis.reshape(-1) for axis in np.indices(grid))
    vertical = row[:, None] - row[None, :] + grid[0] - 1
    horizontal = column[:, None] - column[None, :] + grid[1] - 1
    return (vertical * offset_shape(grid)[1] + horizontal).astype(np.int32)


def num_prefix(query: Float[Array, "batch tokens heads channels"], grid: Grid) -> int:
    """Counts the tokens before the patches."""
    return query.shape[1] - num_patches(grid)


def port(query: Array, key: Array, value: Array, *, offsets: Array, grid: Grid) -> Array:
    """Attention as the formulas say it."""
    flat = offsets.reshape(HEADS, -1)
    bias = jnp.take(flat, offset_index(grid).reshape(-1), axis=1).reshape(HEADS, *(num_patches(grid),) * 2)
    bias = jnp.pad(bias, ((0, 0), (num_prefix(query, grid), 0), (num_prefix(query, grid), 0)))
    logits = attention_logits(query, key, scale=CHANNELS**-0.5, bias=bias)
    return attend(attention_weights(logits), value)


def whole(query: Array, key: Array, value: Array, *, offsets: Array, grid: Grid) -> Array:
    """Attention on whole rows of logits."""
    bias = expand(offsets, grid, prefix_tokens=num_prefix(query, grid))
    return attend_whole(query * jnp.asarray(CHANNELS**-0.5, query.dtype), key, value, bias[None])


def chosen(query: Array, key: Array, value: Array, *, offsets: Array, grid: Grid) -> Array:
    """What the models call."""
    return attention(query, key, value, table=offsets, grid=grid, prefix_tokens=num_prefix(query, grid))


def unbiased(query: Array, key: Array, value: Array, *, offsets: Array, grid: Grid) -> Array:
    """The vendor's attention without a bias."""
    del offsets, grid
    return jax.nn.dot_product_attention(query, key, value, implementation="cudnn")


def compiled(kernel: Kernel, inputs: tuple, grid: Grid) -> jax.stages.Compiled:
    """Compiles a kernel's value and gradients."""

    def loss(inputs: tuple) -> Float[Array, ""]:
        query, key, value, cotangent, params = inputs
        mixed = kernel(query, key, value, offsets=table(TERMS, params, grid), grid=grid)
        return jnp.sum((mixed * cotangent).astype(jnp.float32))

    return jax.jit(jax.value_and_grad(loss)).lower(inputs).compile()


def inputs_of(grid: Grid, options: argparse.Namespace) -> tuple:
    """Random queries, keys, values and cotangents, and parameters of the terms."""
    keys = jax.random.split(jax.random.key(0), 5)
    shape = (options.batch_size, options.prefix_tokens + num_patches(grid), HEADS, CHANNELS)
    params = {
        "relative": {"table": jax.random.normal(keys[4], (HEADS, *offset_shape(grid)), jnp.float32)},
        "gaussian": Gaussian().init(keys[4], grid=grid, num_heads=HEADS),
    }
    return *(jax.random.normal(key, shape, options.dtype) for key in keys[:4]), params


def measured(num_tokens: int, options: argparse.Namespace) -> list[Row]:
    """The rows of one number of tokens."""
    side = math.isqrt(num_tokens)
    grid, is_gpu = (side, side), jax.default_backend() == "gpu"
    inputs = inputs_of(grid, options)
    kernels: dict[str, Kernel] = {"port": port, "whole": whole, "chosen": chosen}
    if is_gpu:
        kernels["unbiased"] = unbiased
    programs = {name: compiled(kernel, inputs, grid) for name, kernel in kernels.items()}
    repeats = max(1, min(20, 400_000 // num_tokens**2 + 1)) * (20 if is_gpu else 1)

    def run(program: jax.stages.Compiled) -> None:
        for _ in range(repeats):
            result = program(inputs)
        jax.block_until_ready(result)

    sides = {name: partial(timing.timed, partial(run, program)) for name, program in programs.items()}
    timing.interleaved(sides, rounds=1)
    found = timing.interleaved(sides, rounds=options.rounds)
    clock = "cpu" if jax.default_backend() == "cpu" else "wall"
    seconds = {name: [value / repeats for value in timing.of_clock(all_, clock)] for name, all_ in found.items()}
    memory = {name: program.memory_analysis().temp_size_in_bytes / 1e6 for name, program in programs.items()}
    return [row for name in kernels if name != "port" for row in compared(name, num_tokens, (seconds, memory))]


def compared(name: str, num_tokens: int, found: tuple[dict[str, list[float]], dict[str, float]]) -> tuple[Row, Row]:
    """Time and memory of a kernel beside the port's."""
    seconds, memory = found
    has_bar = name == "chosen" and num_tokens >= BAR_TOKENS
    return (
        Row(
            what=f"{num_tokens} tokens, {name}: time",
            ours=rows.figure(seconds[name], "s"),
            peer=rows.figure(seconds["port"], "s"),
            ratio=rows.quotient(seconds[name], seconds["port"]),
            at_most=0.6 if has_bar else None,
        ),
        Row(
            what=f"{num_tokens} tokens, {name}: memory",
            ours=rows.figure([memory[name]], "MB"),
            peer=rows.figure([memory["port"]], "MB"),
            ratio=rows.quotient([memory[name]], [memory["port"]]),
            at_most=0.1 if has_bar else None,
        ),
    )


def main() -> None:
    """Prints a table and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", default="196,784,3136,4096", help="square numbers")
    parser.add_argument("--batch_size", type=int, default=1)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prefix_tokens", type=int, default=0, help="before them")
    process.add_flags(parser)
    options = parser.parse_args()
    process.prepare(options)
    result: list[Row] = []
    for num_tokens in map(int, options.tokens.split(",")):
        found = measured(num_tokens, options)
        rows.show(found)
        result += found
    sizes = f"Batch {options.batch_size}, {options.dtype}, {HEADS} heads of {CHANNELS} channels"
    notes = (f"{sizes}, {options.prefix_tokens} prefix tokens.",)
    rows.write(options.out, rows.record(result, ratio="ours / port", peer="port", notes=notes))


if __name__ == "__main__":
    main()
