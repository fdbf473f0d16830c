"""Times compiling the train step, blocks in a loop beside blocks one by one, and how soon a second start trains.

python -m benchmarks.compile [--depth=12] [--batch_size=8] [--rounds=3] [--threads=1] [--core=0] [--out=F.json]

The model is ViT-S/16 with the Gaussian beside a relative bias; seconds of compiling are the processor's. A start is a
process of its own, from its beginning to the end of its first step, imports and fresh parameters included, by the
clock. The first start fills jax's persistent compilation cache in a folder of its own; those after it find all there.
"""

import argparse
import dataclasses
import os
import subprocess
import sys
import tempfile
from functools import partial

from benchmarks import process, rows, timing
from benchmarks.rows import Row
from benchmarks.steps import Steps, time_compilation, varied
from gauss_vit.models.presets import RELPOS_SMALL
from gauss_vit.position.gaussian import Gaussian

MODEL = dataclasses.replace(RELPOS_SMALL, gaussian=Gaussian())


def compilations(options: argparse.Namespace) -> Row:
    """Compiles both ways, in turns."""
    models = {
        "scanned": varied(MODEL, depth=options.depth, is_unrolled=False),
        "unrolled": varied(MODEL, depth=options.depth, is_unrolled=True),
    }
    sides = {name: partial(time_compilation, config, batch_size=options.batch_size) for name, config in models.items()}
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
        Steps(varied(MODEL, depth=options.depth, is_unrolled=False), batch_size=options.batch_size)(1)
        return
    table = [compilations(options), *starts(options)]
    rows.show(table)
    notes = (f"Batch {options.batch_size}, depth {options.depth or 12}.",)
    rows.write(options.out, rows.record(table, ratio="ours / other", peer="other", notes=notes))


if __name__ == "__main__":
    main()
