"""Times our train step with and without its position biases, in turns, and its compilation.

python -m benchmarks.overhead [--depth=12] [--batch_size=8] [--rounds=9] [--compile_rounds=3] [--dtypes=float32]
    [--unrolled] [--onednn] [--huge_pages] [--threads=1] [--core=0] [--out=F.json]
python -m benchmarks.overhead --config=configs/ade20k.py [--image_size=128] ...
python -m benchmarks.overhead --config=configs/coco.py:model=swin_t --image_size=256 --batch_size=1 ...
python -m benchmarks.overhead --terms=alibi,look_here ...

"Gaussian" is `vit_relpos_small_patch16_224`, or the model of a config, with the Gaussian bias beside its own relative
one, "relative" is the model without the Gaussian, "none" has no bias at all. Ratios are of the time (of the
compilation) with a bias over that without it. A config's step has its own head, loss and optimizer. With `--terms`
(or `--terms=all`) each of these terms takes the place of the Gaussian, and ratios are of its step over the Gaussian's:
of its time, and of the operations and the memory traffic of its program before XLA optimises it, which have no noise.
`--rounds=0` counts alone; loops count once, so that blocks are counted with `--unrolled`.
"""

import argparse
import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import get_args

import jax

from benchmarks import kernel, process, rows, timing
from benchmarks.rows import Row
from benchmarks.steps import Steps, experiment_of, noise_shapes, recipe_of, time_compilation, varied
from gauss_vit.experiment import Experiment
from gauss_vit.models.presets.vit import RELPOS_SMALL
from gauss_vit.position import BiasTerm
from gauss_vit.position.position import Position, Term, with_terms, without_terms
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.train.program import make_program

PAIRS = (("Gaussian", "relative"), ("Gaussian", "none"), ("relative", "none"))
TERMS: dict[str, BiasTerm] = {cls().name: cls() for cls in get_args(Term) if cls is not BiasTerm}
_WITHIN = 1.03


def experiments(options: argparse.Namespace, dtype: str) -> dict[str, Experiment]:
    """The step of the three models, or of the model with each of the chosen terms."""
    if options.config is None:
        experiment = experiment_of(RELPOS_SMALL, batch_size=options.batch_size)
    else:
        experiment = recipe_of(options.config, batch_size=options.batch_size, image_size=options.image_size)
    model = dataclasses.replace(experiment.model, compute=dataclasses.replace(experiment.model.compute, dtype=dtype))
    bare = without_terms(model, Gaussian)
    others = {"relative": bare, "none": dataclasses.replace(model, position=Position())}
    if options.terms:
        others = {name: with_terms(bare, TERMS[name]) for name in chosen(options.terms)}
    models = {"Gaussian": with_terms(model, Gaussian()), **others}
    return {
        name: dataclasses.replace(experiment, model=varied(model, depth=options.depth, is_unrolled=options.unrolled))
        for name, model in models.items()
    }


def chosen(text: str) -> tuple[str, ...]:
    """Names of the terms that take the place of the Gaussian: those of the text, or all that no model of timm has."""
    if text != "all":
        return tuple(text.split(","))
    return tuple(name for name, term in TERMS.items() if not (term.is_in_foreign_files or term == Gaussian()))


def steps_of(recipes: Mapping[str, Experiment], options: argparse.Namespace, clock: str) -> dict[str, list[float]]:
    """Seconds of a step of every experiment, by round."""
    made = {name: Steps(experiment) for name, experiment in recipes.items()}
    sides = {name: partial(timing.settled, partial(steps, options.steps)) for name, steps in made.items()}
    # The first round compiles.
    measured = timing.interleaved(sides, rounds=options.rounds + 1)
    return {
        name: [seconds / options.steps for seconds in timing.of_clock(values[1:], clock)]
        for name, values in measured.items()
    }


def compilations(recipes: Mapping[str, Experiment], options: argparse.Namespace) -> dict[str, list[float]]:
    """Processor seconds of tracing and compiling every experiment's step, by round."""
    sides = {name: partial(time_compilation, experiment) for name, experiment in recipes.items()}
    # The first round warms up.
    measured = timing.interleaved(sides, rounds=options.compile_rounds + 1)
    return {name: timing.of_clock(values[1:], "cpu") for name, values in measured.items()}


def counts(recipes: Mapping[str, Experiment]) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """GFLOP and GB of every experiment's step, as its program is before XLA optimises it; loops count once."""
    operations, traffic = {}, {}
    for name, experiment in recipes.items():
        program = make_program(experiment)
        cost = program.train_step.lower(program.abstract, noise_shapes(experiment)).cost_analysis()
        operations[name], traffic[name] = [cost["flops"] / 1e9], [cost["bytes accessed"] / 1e9]
    return operations, traffic


def compared(
    kind: str, values: Mapping[str, list[float]], bars: Mapping[tuple[str, str], float], *, unit: str = "s"
) -> list[Row]:
    """A row for every pair of models."""
    pairs = PAIRS if "none" in values else tuple((name, "Gaussian") for name in values if name != "Gaussian")
    return [
        Row(
            what=f"{kind}: {above} over {below}",
            ours=rows.figure(values[above], unit),
            peer=rows.figure(values[below], unit),
            ratio=rows.quotient(values[above], values[below]),
            at_most=bars.get((above, below)),
        )
        for above, below in pairs
    ]


def bars(options: argparse.Namespace, *, is_cpu: bool) -> Mapping[tuple[str, str], float]:
    """How many times as long a step may take, by pairs of models."""
    if options.terms:
        return {(name, "Gaussian"): _WITHIN for name in chosen(options.terms)}
    if options.config is not None:
        return {("Gaussian", "relative"): _WITHIN}
    return {("Gaussian", "relative"): 1.02 if is_cpu else 1.01, ("Gaussian", "none"): 1.05}


def main() -> None:
    """Prints a table and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", help="of which the model and the step are, as for gauss-vit")
    parser.add_argument("--image_size", type=int, help="in place of the config's")
    parser.add_argument("--terms", help="that take the place of the Gaussian, by name and with commas, or all")
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
    step_bars = bars(options, is_cpu=is_cpu)
    table, details, with_bias = [], {}, []
    for dtype in options.dtypes.split(","):
        recipes = experiments(options, dtype)
        with_bias.append(recipes["Gaussian"].model)
        details[dtype] = {}
        if options.rounds:
            taken = steps_of(recipes, options, "cpu" if is_cpu else "wall")
            table += compared(f"step, {dtype}", taken, step_bars)
            details[dtype]["step_s"] = taken
        if options.terms:
            operations, traffic = counts(recipes)
            table += compared(f"operations, {dtype}", operations, step_bars, unit="GFLOP")
            table += compared(f"memory traffic, {dtype}", traffic, step_bars, unit="GB")
        if options.compile_rounds:
            compiled = compilations(recipes, options)
            table += compared(f"compilation, {dtype}", compiled, {("Gaussian", "relative"): 1.05})
            details[dtype]["compile_s"] = compiled
    rows.show(table)
    size = "x".join(map(str, with_bias[0].image_size))
    notes = (
        f"Batch {options.batch_size}, depth {with_bias[0].depth}, images of {size} px.",
        kernel.note(with_bias),
    )
    rows.write(options.out, rows.record(table, ratio="with / without", peer="without", notes=notes, seconds=details))


if __name__ == "__main__":
    main()
