"""Kills the processes of a run again and again, until it ends with the bits of a run that was left alone.

`python -m tests.distributed.kill_sweep --kills=30 --processes=2 --folder=DIR` prints a line for each kill, and exits
with 1 if the bits differ. Half of the kills come at a random time after a start, before the run has resumed or just
then; the others at a random moment after some more checkpoints. A kill ends one of the processes, and the others a
random moment later, as their scheduler would.
"""

import argparse
import json
import random
import signal
import sys
import time
from pathlib import Path

from gauss_vit.train.checkpoint.reader import saved_steps
from tests.processes import Processes, program, simulated, started
from tests.tiny_config import FLAG as CONFIG
from tests.train.bits import trace_of

PATIENCE_SECONDS = 600.0
LONGEST_PAUSE_SECONDS = 0.5
LONGEST_START_SECONDS = 12.0
SAVED_EVERY = 4


def commands(workdir: Path, *, count: int, num_steps: int) -> list[list[str]]:
    """The command lines of a run whose checkpoints are so frequent that kills meet them."""
    changes = (
        f"--config.training.num_steps={num_steps}",
        f"--config.training.checkpoint_every={SAVED_EVERY}",
        f"--config.evaluators[0].every={num_steps // 4}",
    )
    return program([CONFIG, f"--workdir={workdir}", *changes], count=count)


def wait(run: Processes, workdir: Path, random_numbers: random.Random) -> None:
    """Waits until a random moment."""
    if random_numbers.random() < 0.5:
        time.sleep(random_numbers.uniform(0.3, LONGEST_START_SECONDS))
        return
    awaited = max(saved_steps(workdir), default=0) + SAVED_EVERY * random_numbers.randint(1, 6)
    while max(saved_steps(workdir), default=0) < awaited and all(process.poll() is None for process in run.processes):
        time.sleep(0.005)
    time.sleep(random_numbers.random() * 0.2)


def kill(run: Processes, random_numbers: random.Random) -> str:
    """Kills all processes, one after the other in random order."""
    order = random_numbers.sample(range(len(run.processes)), len(run.processes))
    for index in order:
        run.signal(index, signal.SIGKILL)
        time.sleep(random_numbers.random() * LONGEST_PAUSE_SECONDS)
    return "-".join(map(str, order))


def sweep(folder: Path, *, kills: int, count: int, seed: int) -> bool:
    """Makes the kills, and returns whether the run ends with the same bits."""
    random_numbers, environment = random.Random(seed), simulated(1)
    num_steps = 40 * (kills + 1)
    undisturbed, killed = folder / "undisturbed", folder / "killed"
    finish(undisturbed, folder / "said", count=count, num_steps=num_steps)
    num_met = 0
    for number in range(kills):
        run_commands = commands(killed, count=count, num_steps=num_steps)
        with started(run_commands, folder / "said" / str(number), environment=environment) as run:
            wait(run, killed, random_numbers)
            num_met += all(process.poll() is None for process in run.processes)
            order = kill(run, random_numbers)
        newest = max(saved_steps(killed), default=0)
        sys.stdout.write(f"kill {number + 1}: processes {order}, newest checkpoint {newest} of {num_steps}\n")
        sys.stdout.flush()
    finish(killed, folder / "said", count=count, num_steps=num_steps)
    is_same = trace_of(killed) == trace_of(undisturbed)
    sys.stdout.write(json.dumps({"kills": kills, "met_a_running_run": num_met, "same_bits": is_same}) + "\n")
    return is_same


def finish(workdir: Path, folder: Path, *, count: int, num_steps: int) -> None:
    """Runs to the end."""
    with started(commands(workdir, count=count, num_steps=num_steps), folder, environment=simulated(1)) as run:
        for ended in run.wait(limit=PATIENCE_SECONDS):
            assert ended.status == 0, ended.err


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    sys.exit(not sweep(given.folder, kills=given.kills, count=given.processes, seed=given.seed))
