"""Times our train step with and without its position biases, in turns, and its compilation.

python -m benchmarks.overhead [--depth=12] [--batch_size=8] [--rounds=9] [--compile_rounds=3] [--dtypes=float32]
    [--unrolled] [--onednn] [--huge_pages] [--threads=1] [--core=0] [--out=F.json]

"Gaussian" is `vit_relpos_small_patch16_224` with the Gaussian bias beside its own relative one, "relative" is timm's
model, "none" has no bias at all. Ratios are of the time (of the compilation) with a bias over that without it.
"""

import argparse
import dataclasses
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

import jax

from benchmarks import kernel, process, rows, timing
from benchmarks.rows import Row
from benchmarks.steps import Steps, time_compilation, varied
from gauss_vit.models.compute import Compute
from gauss_vit.models.presets import RELPOS_SMALL
from gauss_vit.models.vit import ViTConfig
from gauss_vit.position.gaussian import Gaussian
from gauss_vit.position.position import Position, with_terms

BIASES: Mapping[str, ViTConfig] = MappingProxyType(
    {
        "Gaussian": with_terms(RELPOS_SMALL, Gaussian()),
        "relative": RELPOS_SMALL,
        "none": dataclasses.replace(RELPOS_SMALL, position=Position()),
    }
)
PAIRS = (("Gaussian", "relative"), ("Gaussian", "none"), ("relative", "none"))


def configs(options: argparse.Namespace, dtype: str) -> dict[str, ViTConfig]:
    """The three models."""
    return {
        name: varied(
            dataclasses.replace(config, compute=Compute(dtype=dtype)), depth=options.depth, is_unrolled=options.unrolled
        )
        for name, config in BIASES.items()
    }


def steps_of(models: Mapping[str, ViTConfig], options: argparse.Namespace, clock: str) -> dict[str, list[float]]:
    """Seconds of a step of every model, by round."""
    made = {name: Steps(config, batch_size=options.batch_size) for name, config in models.items()}
    sides = {name: partial(timing.settled, partial(steps, options.steps)) for name, steps in made.items()}
    # The first round compiles.
    measured = timing.interleaved(sides, rounds=options.rounds + 1)
    return {
        name: [seconds / options.steps for seconds in timing.of_clock(values[1:], clock)]
        for name, values in measured.items()
    }


def compilations(models: Mapping[str, ViTConfig], options: argparse.Namespace) -> dict[str, list[float]]:
    """Processor seconds of tracing and compiling every model's step, by round."""
    sides = {name: partial(time_compilation, config, batch_size=options.batch_size) for name, config in models.items()}
    # The first round warms up.
    measured = timing.interleaved(sides, rounds=options.compile_rounds + 1)
    return {name: timing.of_clock(values[1:], "cpu") for name, values in measured.items()}


def compared(kind: str, seconds: Mapping[str, list[float]], bars: Mapping[tuple[str, str], float]) -> list[Row]:
    """A row for every pair of models."""
    return [
        Row(
            what=f"{kind}: {above} over {below}",
            ours=rows.figure(seconds[above], "s"),
            peer=rows.figure(seconds[below], "s"),
            ratio=rows.quotient(seconds[above], seconds[below]),
            at_most=bars.get((above, below)),
        )
        for above, below in PAIRS
    ]


def main() -> None:
    """Prints a table and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depth", type=int)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--compile_rounds", type=int, default=3)
    parser.add_argument("--dtypes", default="float32")
    parser.add_argument("--unrolled", action="store_true")
    process.add_flags(parser)
    options = parser.parse_args()
    process.prepare(options)
    is_cpu = jax.default_backend() == "cpu"
    step_bars = {("Gaussian", "relative"): 1.02 if is_cpu else 1.01, ("Gaussian", "none"): 1.05}
    table, details, with_bias = [], {}, []
    for dtype in options.dtypes.split(","):
        models = configs(options, dtype)
        with_bias.append(models["Gaussian"])
        taken = steps_of(models, options, "cpu" if is_cpu else "wall")
        table += compared(f"step, {dtype}", taken, step_bars)
        details[dtype] = {"step_s": taken}
        if options.compile_rounds:
            compiled = compilations(models, options)
            table += compared(f"compilation, {dtype}", compiled, {("Gaussian", "relative"): 1.05})
            details[dtype]["compile_s"] = compiled
    rows.show(table)
    notes = (f"Batch {options.batch_size}, depth {options.depth or 12}.", kernel.note(with_bias))
    rows.write(options.out, rows.record(table, ratio="with / without", peer="without", notes=notes, seconds=details))


if __name__ == "__main__":
    main()
