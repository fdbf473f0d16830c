"""Times attention with a position bias, forward and backward, by every kernel, and asks the compiler for its memory.

python -m benchmarks.attention [--cases=1x196,1x784,1x3136,1x4096] [--check=64,576] [--rounds=5] [--dtype=float32]
    [--prefix_tokens=0] [--onednn] [--huge_pages] [--threads=1] [--core=0] [--out=F.json]

A case is a batch by a square number of tokens; `--cases=` times none. Six heads of 64 channels, and as bias a free
table over offsets plus the Gaussian, one value each of amplitude and sigma. The backward pass has the gradients of
queries, keys, values, table, amplitude and sigma. "port" is what a line-by-line port of the PyTorch code does: the
table is gathered to [heads, query, key] and added to the logits, whose softmax is differentiated automatically.
"whole", "einsum" and "rows" are `kernels`' own, and "chosen" what `kernels.attention` picks for the size. On a GPU, in
bfloat16, "cudnn" is the vendor's with the bias and "unbiased" the same without one. Prefix tokens come on top of the
tokens, and have no bias. Memory is what the compiler sets aside besides arguments and results. Ratios are to the port.

`--check` compares, for these numbers of tokens and two images, result and gradients of every kernel with those of the
reference in float32: whether they are finite, and their distance in L2 as a share.
"""

import argparse
import math
from collections.abc import Mapping
from functools import partial

import jax

from benchmarks import process, rows, timing
from benchmarks.attention_check import checked
from benchmarks.attention_sides import CHANNELS, HEADS, Attend, Case, compiled, inputs_of, sides_of
from benchmarks.rows import Row
from gauss_vit.kernels.choice import choose
from gauss_vit.ops.grid import num_patches

BAR_TOKENS = 4096
TIME_BAR, MEMORY_BAR, UNBIASED_BAR = 0.6, 0.1, 1.3
"""At so many tokens: the chosen kernel's time and memory beside the port's, and its time beside the vendor's."""

Found = dict[str, list[float]]


def measured(case: Case, attends: Mapping[str, Attend], rounds: int) -> tuple[Found, Found]:
    """Milliseconds by round, and megabytes, of every side."""
    inputs = inputs_of(case)
    programs = {name: compiled(side, inputs, case.grid) for name, side in attends.items()}
    repeats = max(1, min(20, 400_000 // num_patches(case.grid) ** 2 + 1))
    clock = "cpu"
    if jax.default_backend() != "cpu":
        repeats, clock = 20 * repeats, "wall"

    def run(program: jax.stages.Compiled) -> None:
        for _ in range(repeats):
            result = program(inputs)
        jax.block_until_ready(result)

    sides = {name: partial(timing.timed, partial(run, program)) for name, program in programs.items()}
    timing.interleaved(sides, rounds=1)
    found = timing.interleaved(sides, rounds=rounds)
    milliseconds = {
        name: [1000 * seconds / repeats for seconds in timing.of_clock(all_, clock)] for name, all_ in found.items()
    }
    megabytes = {name: [program.memory_analysis().temp_size_in_bytes / 1e6] for name, program in programs.items()}
    return milliseconds, megabytes


def table(case: Case, chosen: str, found: tuple[Found, Found]) -> list[Row]:
    """Time and memory of every side beside the port's, and on a GPU the chosen one's time beside the vendor's.

    Args:
      case: the size.
      chosen: the name of the kernel that was chosen for it.
      found: milliseconds and megabytes of every side.
    """
    milliseconds, megabytes = found
    labels = {name: f"{case.name}, {name}" for name in milliseconds} | {"chosen": f"{case.name}, chosen ({chosen})"}
    is_judged = num_patches(case.grid) >= BAR_TOKENS
    bars = {"chosen": (TIME_BAR, MEMORY_BAR)} if is_judged else {}
    result = []
    for name in [name for name in milliseconds if name != "port"]:
        time_bar, memory_bar = bars.get(name, (None, None))
        label, others = labels[name], (name, "port")
        result.append(beside(f"{label}: time", milliseconds, others, unit="ms", at_most=time_bar))
        result.append(beside(f"{label}: memory", megabytes, others, unit="MB", at_most=memory_bar))
    if "unbiased" in milliseconds:
        what, bar = f"{labels['chosen']} / cuDNN without bias: time", UNBIASED_BAR if is_judged else None
        result.append(beside(what, milliseconds, ("chosen", "unbiased"), unit="ms", at_most=bar))
    return result


def beside(what: str, found: Found, sides: tuple[str, str], *, unit: str, at_most: float | None) -> Row:
    """One side beside another."""
    one, other = (found[name] for name in sides)
    return Row(
        what=what,
        ours=rows.figure(one, unit),
        peer=rows.figure(other, unit),
        ratio=rows.quotient(one, other),
        at_most=at_most,
    )


def grid_of(num_tokens: str) -> tuple[int, int]:
    """The square grid of a number of tokens.

    Raises:
      ArgumentTypeError: it is not square.
    """
    side = math.isqrt(int(num_tokens))
    if side < 1 or side**2 != int(num_tokens):
        raise argparse.ArgumentTypeError(f"{num_tokens} tokens are not a square grid; choose {max(1, side**2)}")
    return side, side


def sizes(text: str) -> list[tuple[int, tuple[int, int]]]:
    """Reads batches by tokens.

    >>> sizes("1024x196,2x4096")
    [(1024, (14, 14)), (2, (64, 64))]
    """
    pairs = [word.partition("x") for word in text.split(",") if word]
    return [(int(batch_size), grid_of(num_tokens)) for batch_size, _, num_tokens in pairs]


def grids(text: str) -> list[tuple[int, int]]:
    """Reads numbers of tokens."""
    return [grid_of(word) for word in text.split(",") if word]


def main() -> None:
    """Prints a table and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=sizes, default="1x196,1x784,1x3136,1x4096", help="batches by square numbers")
    parser.add_argument("--check", type=grids, default="", help="square numbers of tokens to check kernels at")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prefix_tokens", type=int, default=0, help="before them")
    process.add_flags(parser)
    options = parser.parse_args()
    process.prepare(options)
    same = {"prefix_tokens": options.prefix_tokens, "dtype": options.dtype}
    notes, result = (
        [f"{options.dtype}, {HEADS} heads of {CHANNELS} channels, {options.prefix_tokens} prefix tokens."],
        [],
    )
    for grid in options.check:
        result += shown(checked(Case(batch_size=2, grid=grid, **same)))
    for batch_size, grid in options.cases:
        case = Case(batch_size=batch_size, grid=grid, **same)
        attends, absent = sides_of(case)
        notes += absent
        kernel = choose(case.shape, "cudnn" if "cudnn" in attends else "auto")
        result += shown(table(case, kernel, measured(case, attends, options.rounds)))
    rows.write(options.out, rows.record(result, ratio="ours / port", peer="port", notes=notes))


def shown(found: list[Row]) -> list[Row]:
    """Prints rows as soon as they are found."""
    rows.show(found)
    return found


if __name__ == "__main__":
    main()
