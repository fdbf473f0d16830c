"""Loaders, evaluations and log files that are opened and closed again and again leave nothing behind."""

import dataclasses
import os
import sys
import threading
import time
from pathlib import Path

import pytest

from gauss_vit.assembly import feeds
from gauss_vit.tasks.evaluator import Evaluator
from gauss_vit.train.evaluation import evaluate
from gauss_vit.train.input_wait import InputWait
from gauss_vit.train.prefetch import place_ahead
from gauss_vit.train.program import fresh_state
from gauss_vit.train.tracking.tracker import TrackedRun
from gauss_vit.train.wall_time import WallTime
from gauss_vit.train.workdir.loggers import Loggers
from tests.tiny_config import get_config
from tests.train.toy import NUM_EVAL, ToyRecipe, eval_batches, shared_program

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts what /proc lists")

CYCLES = pytest.mark.parametrize("num_cycles", [3, pytest.param(100, marks=pytest.mark.full)])
PATIENCE_SECONDS = 20.0


def held() -> dict[str, int]:
    """Counts the threads, open files, child processes and mapped pieces of shared memory of this process."""
    return {
        "threads": threading.active_count(),
        "files": len(list(Path("/proc/self/fd").iterdir())),
        "children": len(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()),
        "shared memory": Path("/proc/self/maps").read_text().count("/dev/shm/"),
    }


def kept(before: dict[str, int]) -> dict[str, int]:
    """Returns what is held above a count from before, once threads that are about to end have ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (more := _above(before)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return more


def _above(before: dict[str, int]) -> dict[str, int]:
    return {name: number for name, number in held().items() if number > before[name]}


@CYCLES
def test_loaders_give_everything_back(data_flag: str, num_cycles: int):
    shown = get_config()
    data = dataclasses.replace(shown.data, data_dir=data_flag.partition("=")[2], num_threads=3)
    experiment = dataclasses.replace(shown, data=data)
    feed = feeds.feed(experiment, feeds.open_sources(experiment))
    mesh = shared_program(ToyRecipe()).mesh

    def cycle() -> None:
        """Reads a batch of training and leaves the rest, and reads an evaluation whole."""
        with WallTime() as wall:
            batches = feed.train(0)
            next(place_ahead(InputWait(wall).timed(batches), mesh))
            batches.close()
        assert sum(batch.is_real.sum() for batch in feed.evaluation("eval")) == 50

    cycle()
    before = held()
    for _ in range(num_cycles):
        cycle()
    assert kept(before) == {}


@CYCLES
def test_evaluations_and_logs_give_everything_back(tmp_path: Path, num_cycles: int):
    recipe = ToyRecipe()
    program, (evaluator,) = shared_program(recipe), recipe.evaluators
    params = fresh_state(recipe, program).params

    def cycle() -> int:
        collector = evaluator.measure.collector(None)
        with Loggers(TrackedRun(workdir=tmp_path, step=0, config={}), trackers={}) as loggers:
            evaluate(
                program.eval_steps[evaluator.measure],
                params,
                eval_batches(NUM_EVAL, 16),
                collector=collector,
                mesh=program.mesh,
                batch_size=16,
                should_stop=lambda: False,
            )
            loggers.write(Evaluator().name, 1, dict(collector.compute()))
        return int(collector.compute()["num_examples"])

    cycle()
    before = held()
    assert {cycle() for _ in range(num_cycles)} == {NUM_EVAL}
    assert kept(before) == {}
