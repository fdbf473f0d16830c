"""Times what a run's measurement of itself adds to a step.

python -m benchmarks.measuring [--depth=2] [--batch_size=8] [--steps=20] [--rounds=9] [--repetitions=10000]
    [--threads=1] [--core=0] [--out=F.json]

Both sides make the steps of `vit_relpos_small_patch16_224` with the Gaussian bias as the loop does, on a batch that
stays on the device; one also keeps the wall time, the wait for input and the pace, as the loop does. The second row
times these calls alone, on a step that has ended.
"""

import argparse
import itertools
from functools import partial

import jax.numpy as jnp

from benchmarks import process, rows, timing
from benchmarks.rows import Row
from benchmarks.steps import Steps, experiment_of, varied
from gauss_vit.models.presets.vit import RELPOS_SMALL
from gauss_vit.position.position import with_terms
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.train.input_wait import InputWait
from gauss_vit.train.step import Outcome
from gauss_vit.train.wall_time import Pace, WallTime


def bare(steps: Steps, num_steps: int) -> None:
    """Makes steps."""
    steps.along(itertools.repeat(steps.batch, num_steps))


def measured(steps: Steps, num_steps: int) -> None:
    """Makes steps that are measured."""
    with WallTime() as wall, wall.within("step"):
        wait, pace = InputWait(wall), Pace(wall)

        def follow(outcome: Outcome) -> None:
            wait.follow(outcome.is_finite.is_ready)
            pace.count()

        steps.along(wait.timed(itertools.repeat(steps.batch, num_steps)), follow=follow)


def calls_alone(num_steps: int) -> None:
    """Makes the calls of as many steps."""
    result = jnp.zeros((), jnp.float32)
    with WallTime() as wall, wall.within("step"):
        wait, pace = InputWait(wall), Pace(wall)
        for _ in wait.timed(range(num_steps)):
            wait.follow(result.is_ready)
            pace.count()


def main() -> None:
    """Prints a table and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--repetitions", type=int, default=10_000)
    process.add_flags(parser)
    options = parser.parse_args()
    process.prepare(options)
    config = varied(with_terms(RELPOS_SMALL, Gaussian()), depth=options.depth, is_unrolled=False)
    steps = Steps(experiment_of(config, batch_size=options.batch_size))
    sides = {
        name: partial(timing.settled, partial(side, steps, options.steps))
        for name, side in (("measured", measured), ("bare", bare))
    }
    # The first round compiles.
    found = {name: values[1:] for name, values in timing.interleaved(sides, rounds=options.rounds + 1).items()}
    seconds = {
        name: [taken / options.steps for taken in timing.of_clock(values, "cpu")] for name, values in found.items()
    }
    alone = [timing.timed(partial(calls_alone, options.repetitions)) for _ in range(options.rounds)]
    calls = [1e6 * taken / options.repetitions for taken in timing.of_clock(alone, "cpu")]
    table = [
        Row(
            what="step, float32: measured over bare",
            ours=rows.figure(seconds["measured"], "s"),
            peer=rows.figure(seconds["bare"], "s"),
            ratio=rows.quotient(seconds["measured"], seconds["bare"]),
            at_most=1.02,
        ),
        Row(what="the calls of a step alone", ours=rows.figure(calls, "us"), at_most=50.0),
    ]
    rows.show(table)
    notes = (f"Batch {options.batch_size}, depth {options.depth}, by the cpu clock.",)
    rows.write(options.out, rows.record(table, ratio="measured / bare", peer="bare", notes=notes, seconds=seconds))


if __name__ == "__main__":
    main()
