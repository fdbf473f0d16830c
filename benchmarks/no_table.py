"""Times attention whose position information is no table, forward and backward, and asks the compiler for its memory.

python -m benchmarks.no_table [--cases=1x4096] [--rounds=3] [--dtype=float32] [--prefix_tokens=0] [--onednn]
    [--huge_pages] [--threads=1] [--core=0] [--out=F.json]

A case is a batch by a square number of tokens, of six heads of 64 channels. "axial rotary" and "mixed rotary" rotate
queries and keys; with "query Gaussian" every query predicts a Gaussian for itself; "all" has the latter two and the
Gaussian of the layer. The backward pass has the gradients of queries, keys, values and all parameters. "formula" is the
reference kernel: it holds logits of [batch, heads, query, key], which are differentiated automatically. Ours is what
`kernels.attention` picks for the size. Memory is what the compiler sets aside besides arguments and results.
"""

import argparse
import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from benchmarks import process, rows, timing
from benchmarks.attention import Found, beside, shown, sizes
from benchmarks.attention_sides import CHANNELS, HEADS, Case
from benchmarks.rows import Row
from gauss_vit.kernels.attention import attention
from gauss_vit.kernels.choice import KernelChoice, choose
from gauss_vit.ops.grid import num_patches
from gauss_vit.position import AxialRotary, Gaussian, MixedRotary, Position, QueryGaussian
from gauss_vit.position import term as terms
from gauss_vit.position.rotary import angles, rotate

POSITIONS = {
    "axial rotary": Position(rotary=AxialRotary()),
    "mixed rotary": Position(rotary=MixedRotary()),
    "query Gaussian": Position(query_gaussian=QueryGaussian()),
    "all": Position(terms=(Gaussian(),), rotary=MixedRotary(), query_gaussian=QueryGaussian()),
}
BAR_TOKENS, MEMORY_BAR = 4096, 0.15
"""At so many tokens and more: our memory beside that of the formula."""


def inputs_of(case: Case, position: Position) -> PyTree:
    """Random queries, keys, values and cotangents, and parameters of the position information."""
    keys = jax.random.split(jax.random.key(0), 7)
    shape = (case.batch_size, case.num_tokens, HEADS, CHANNELS)
    rotary, gaussian = position.rotary, position.query_gaussian
    params = {
        "terms": terms.init(position.terms, keys[4], grid=case.grid, num_heads=HEADS),
        "rotary": {} if rotary is None else rotary.init(keys[5], num_heads=HEADS, channels=CHANNELS),
        "query_gaussian": {} if gaussian is None else gaussian.init(keys[6], channels=CHANNELS),
    }
    return *(jax.random.normal(key, shape, case.dtype) for key in keys[:4]), params


def attend(
    query: Array, key: Array, value: Array, params: PyTree, *, case: Case, position: Position, kernel: KernelChoice
) -> Float[Array, "batch tokens heads channels"]:
    """Attention as a layer computes it, from its queries, keys and values on."""
    grid, rotary, gaussian = case.grid, position.rotary, position.query_gaussian
    own, square = None, np.inf
    if gaussian is not None:
        own = gaussian.predict(params["query_gaussian"], query[:, case.prefix_tokens :], grid)
        square = gaussian.largest_square(grid)
    if rotary is not None:
        turned = angles(rotary, params["rotary"], grid, channels=CHANNELS, prefix_tokens=case.prefix_tokens)
        query, key = (rotate(each, turned, layout=rotary.layout) for each in (query, key))
    return attention(
        query,
        key,
        value,
        table=terms.table(position.terms, params["terms"], grid) if position.terms else None,
        grid=grid,
        prefix_tokens=case.prefix_tokens,
        gaussians=own,
        largest_square=square,
        kernel=kernel,
        platform=jax.default_backend(),
    )


def compiled(case: Case, position: Position, kernel: KernelChoice, inputs: PyTree) -> jax.stages.Compiled:
    """Compiles value and gradients."""

    def loss(inputs: PyTree) -> Float[Array, ""]:
        query, key, value, cotangent, params = inputs
        mixed = attend(query, key, value, params, case=case, position=position, kernel=kernel)
        return jnp.sum((mixed * cotangent).astype(jnp.float32))

    return jax.jit(jax.value_and_grad(loss)).lower(inputs).compile()


def measured(case: Case, position: Position, rounds: int) -> tuple[Found, Found]:
    """Milliseconds by round, and megabytes, of the formula and of what is chosen."""
    inputs = inputs_of(case, position)
    kernels: dict[str, KernelChoice] = {"formula": "reference", "chosen": "auto"}
    programs = {name: compiled(case, position, kernel, inputs) for name, kernel in kernels.items()}
    clock = "cpu" if jax.default_backend() == "cpu" else "wall"

    def run(program: jax.stages.Compiled) -> None:
        jax.block_until_ready(program(inputs))

    sides = {name: partial(timing.timed, partial(run, program)) for name, program in programs.items()}
    timing.interleaved(sides, rounds=1)
    found = timing.interleaved(sides, rounds=rounds)
    milliseconds = {name: [1000 * seconds for seconds in timing.of_clock(all_, clock)] for name, all_ in found.items()}
    return milliseconds, {name: [each.memory_analysis().temp_size_in_bytes / 1e6] for name, each in programs.items()}


def table(case: Case, name: str, chosen: str, found: tuple[Found, Found]) -> list[Row]:
    """Time and memory of what is chosen beside the formula's."""
    milliseconds, megabytes = found
    bar = MEMORY_BAR if num_patches(case.grid) >= BAR_TOKENS else None
    label, sides = f"{case.name}, {name} ({chosen})", ("chosen", "formula")
    return [
        beside(f"{label}: time", milliseconds, sides, unit="ms", at_most=None),
        beside(f"{label}: memory", megabytes, sides, unit="MB", at_most=bar),
    ]


def main() -> None:
    """Prints a table and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=sizes, default="1x4096", help="batches by square numbers of tokens")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prefix_tokens", type=int, default=0, help="before them")
    process.add_flags(parser)
    options = parser.parse_args()
    process.prepare(options)
    notes = [f"{options.dtype}, {HEADS} heads of {CHANNELS} channels, {options.prefix_tokens} prefix tokens."]
    result = []
    for batch_size, grid in options.cases:
        case = Case(batch_size=batch_size, grid=grid, prefix_tokens=options.prefix_tokens, dtype=options.dtype)
        for name, position in POSITIONS.items():
            chosen = choose(dataclasses.replace(case.shape, has_gaussians=position.query_gaussian is not None))
            result += shown(table(case, name, chosen, measured(case, position, options.rounds)))
    rows.write(options.out, rows.record(result, ratio="ours / formula", peer="formula", notes=notes))


if __name__ == "__main__":
    main()
