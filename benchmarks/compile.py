"""Times compiling and running the train step, blocks in a loop beside one by one, and how soon a second start trains.

python -m benchmarks.compile [--depth=12] [--batch_size=8] [--rounds=3] [--threads=1] [--core=0] [--onednn]
    [--huge_pages] [--out=F.json]

The model is ViT-S/16 with the Gaussian beside a relative bias. Seconds of compiling, and of a step on a CPU, are those
of the processor. A start is a process of its own, timed by the clock from its beginning to the end of its first step,
with imports and fresh parameters. The first start fills JAX's persistent compilation cache in a folder of its own; the
others read it.
"""

import argparse
import dataclasses
import os
import subprocess
import sys
import tempfile
from functools import partial

import jax

from benchmarks import process, rows, timing
from benchmarks.rows import Row
from benchmarks.steps import Steps, experiment_of, time_compilation, varied
from gauss_vit.experiment import Experiment
from gauss_vit.models.compute import Compute
from gauss_vit.models.presets.vit import RELPOS_SMALL
from gauss_vit.position.position import with_terms
from gauss_vit.position.terms.gaussian import Gaussian

MODEL = with_terms(RELPOS_SMALL, Gaussian())


def both_ways(options: argparse.Namespace, dtype: str = "float32") -> dict[str, Experiment]:
    """The model in a loop over its blocks, and one by one."""
    model = dataclasses.replace(MODEL, compute=Compute(dtype=dtype))
    return {
        name: experiment_of(varied(model, depth=options.depth, is_unrolled=is_unrolled), batch_size=options.batch_size)
        for name, is_unrolled in (("scanned", False), ("unrolled", True))
    }


def compilations(options: argparse.Namespace) -> Row:
    """Compiles both ways, in turns."""
    sides = {name: partial(time_compilation, experiment) for name, experiment in both_ways(options).items()}
    # The first round warms up.
    found = timing.interleaved(sides, rounds=options.rounds + 1)
    scanned, unrolled = (timing.of_clock(found[name][1:], "cpu") for name in ("scanned", "unrolled"))
    return Row(
        what="compiling the step, in a loop over blocks beside one by one",
        ours=rows.figure(scanned, "s"),
        peer=rows.figure(unrolled, "s"),
        ratio=rows.quotient(scanned, unrolled),
        at_most=0.5,
    )


def steps(options: argparse.Namespace, dtype: str) -> Row:
    """Takes steps both ways, in turns."""
    ways = {name: Steps(experiment) for name, experiment in both_ways(options, dtype).items()}
    sides = {name: partial(timing.settled, partial(way, 1)) for name, way in ways.items()}
    timing.interleaved(sides, rounds=1)
    found = timing.interleaved(sides, rounds=2 * options.rounds)
    clock = "cpu" if jax.default_backend() == "cpu" else "wall"
    scanned, unrolled = (timing.of_clock(found[name], clock) for name in ("scanned", "unrolled"))
    return Row(
        what=f"a step in {dtype}, in a loop over blocks beside one by one",
        ours=rows.figure(scanned, "s"),
        peer=rows.figure(unrolled, "s"),
        ratio=rows.quotient(scanned, unrolled),
    )


def starts(options: argparse.Namespace) -> list[Row]:
    """Starts processes that share a cache: the first compiles, the others do not."""
    words = [sys.executable, "-m", "benchmarks.compile", "--first_step", *rows_free(sys.argv[1:])]
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": folder}
        environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        seconds = [
            timing.timed(lambda: subprocess.run(words, env=environment, check=True))["wall"]
            for _ in range(options.rounds + 1)
        ]
    first, later = seconds[0], seconds[1:]
    return [
        Row(
            what="first step of a start that finds its programs in the cache, beside one that compiles",
            ours=rows.figure(later, "s"),
            peer=rows.figure([first], "s"),
        ),
        Row(what="the same against the clock", ours=rows.figure(later, "s"), at_most=10),
    ]


def rows_free(words: list[str]) -> list[str]:
    """The options of a start: all but where the result goes."""
    return [word for word in words if not word.startswith("--out")]


def main() -> None:
    """Prints a table and writes the record, or takes one step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depth", type=int)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--first_step", action="store_true", help=argparse.SUPPRESS)
    process.add_flags(parser)
    options = parser.parse_args()
    process.prepare(options)
    if options.first_step:
        Steps(both_ways(options)["scanned"])(1)
        return
    table = [compilations(options), *(steps(options, dtype) for dtype in ("float32", "bfloat16")), *starts(options)]
    rows.show(table)
    notes = (f"Batch {options.batch_size}, depth {options.depth or 12}.",)
    rows.write(options.out, rows.record(table, ratio="ours / other", peer="other", notes=notes))


if __name__ == "__main__":
    main()
