"""A long run of a tiny model: what it holds of memory, threads and files must not grow.

`python -m tests.train.long_run` trains 5,000 steps with 500 saves and 100 evaluations and prints what was measured.
"""

import argparse
import dataclasses
import logging
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from gauss_vit import main as program
from tests import compilations, tiny_config

WARM_UP = 0.2
"""Share of the run after which what it holds is measured for the first time."""

MOST_GROWTH = 0.05
_SAVED = re.compile(r"saved checkpoint (\d+)")


@dataclasses.dataclass(frozen=True)
class Sample:
    """What the process holds after a save.

    Attributes:
      step: step that was saved.
      memory: resident bytes.
      threads: number of threads.
      files: number of open files.
      compilations: number of compilations so far.
    """

    step: int
    memory: int
    threads: int
    files: int
    compilations: int


class Sampler(logging.Handler):
    """Takes a sample at every save."""

    def __init__(self, compiled: dict[str, int]):
        super().__init__(logging.INFO)
        self.samples: list[Sample] = []
        self._compiled = compiled

    def emit(self, record: logging.LogRecord) -> None:
        """Takes a sample where a checkpoint is announced."""
        saved = _SAVED.fullmatch(record.getMessage())
        if saved is not None:
            self.samples.append(sample(int(saved[1]), num_compilations=sum(self._compiled.values())))


def sample(step: int, *, num_compilations: int) -> Sample:
    """Measures this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Sample(
        step,
        memory=pages * os.sysconf("SC_PAGE_SIZE"),
        threads=sum(1 for _ in Path("/proc/self/task").iterdir()),
        files=sum(1 for _ in Path("/proc/self/fd").iterdir()),
        compilations=num_compilations,
    )


def long_run(workdir: Path, *, num_steps: int, num_saves: int, num_evaluations: int) -> list[Sample]:
    """Trains the tiny model, and samples what the process holds at every save."""
    arguments = {
        "training.num_steps": num_steps,
        "training.checkpoint_every": num_steps // num_saves,
        "training.log_every": num_steps // num_evaluations,
        "evaluators": f'[{{"every": {num_steps // num_evaluations}}}]',
    }
    overrides = [f"--config.{key}={value}" for key, value in arguments.items()]
    with compilations.counted() as compiled:
        sampler = Sampler(compiled)
        logger = logging.getLogger("gauss_vit")
        logger.addHandler(sampler)
        try:
            status = program.main([tiny_config.FLAG, f"--workdir={workdir}", *overrides])
        finally:
            logger.removeHandler(sampler)
    assert status == 0
    return sampler.samples


def complaints(samples: Sequence[Sample]) -> list[str]:
    """Says what grew after the warm-up; empty if nothing did."""
    first, last = _windows(samples)
    found = []
    growth = _memory(last) / _memory(first) - 1
    if growth > MOST_GROWTH:
        found.append(f"memory grew by {growth:.1%}")
    for name in ("threads", "files"):
        before, after = (max(getattr(each, name) for each in window) for window in (first, last))
        if after > before:
            found.append(f"{name} grew from {before} to {after}")
    if last[-1].compilations > first[0].compilations:
        found.append(f"{last[-1].compilations - first[0].compilations} later compilations")
    return found


def _windows(samples: Sequence[Sample]) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """Returns a tenth of the samples, after the warm-up and at the end."""
    start, length = int(WARM_UP * len(samples)), max(len(samples) // 10, 1)
    return samples[start : start + length], samples[-length:]


def _memory(samples: Sequence[Sample]) -> float:
    return statistics.median(each.memory for each in samples)


def main() -> int:
    """Prints the samples in tenths; status 1 if something grew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num_steps", type=int, default=5000)
    parser.add_argument("--num_saves", type=int, default=500)
    parser.add_argument("--num_evaluations", type=int, default=100)
    given = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="long-run-") as folder:
        samples = long_run(Path(folder), **vars(given))
    for each in samples[:: max(len(samples) // 20, 1)]:
        sys.stdout.write(f"{each}\n")
    first, last = _windows(samples)
    sys.stdout.write(
        f"{len(samples)} saves in {time.monotonic() - start:.0f} s; resident memory {_memory(first) / 2**20:.1f} MiB"
        f" after the warm-up, {_memory(last) / 2**20:.1f} MiB at the end ({_memory(last) / _memory(first) - 1:+.1%})\n"
    )
    found = complaints(samples)
    sys.stdout.write("; ".join(found or ["nothing grew"]) + "\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
