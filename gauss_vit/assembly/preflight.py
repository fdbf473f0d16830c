"""What a run on many hosts needs, checked by all of its processes together before any time is spent on training.

A fault of one process ends all of them with its message, and whatever is stuck ends within its limit.
"""

import dataclasses
import functools
import itertools
import math
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import jax

from gauss_vit.assembly import feeds, from_data, same_everywhere
from gauss_vit.assembly.initial_params import initial_params
from gauss_vit.distributed import hang, processes
from gauss_vit.distributed.agreement import require_same
from gauss_vit.distributed.watchdog import Watchdog
from gauss_vit.errors import DivergedError, StorageError
from gauss_vit.experiment import Experiment
from gauss_vit.train.mesh import place_batch
from gauss_vit.train.program import fresh_state, make_program
from gauss_vit.train.run import Feed
from gauss_vit.train.workdir import lock, resume

Value = TypeVar("Value")

_SHOWN = 10
_RAISE_LIMIT = (
    "look there for what is stuck. If it is only slow, raise --limit, or of the first training steps"
    " --config.limits.compile"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Prepared:
    """What the data of an experiment give this process.

    Attributes:
      experiment: The experiment, with what the data decide.
      feed: Batches of this process.
      class_names: Classes in order.
      summary: What was found, in one line.
    """

    experiment: Experiment
    feed: Feed
    class_names: tuple[str, ...]
    summary: str


class Preflight:
    """The checks of one run, in their order; each returns what it found in one line.

    Args:
      experiment: The run.
      limit: Seconds that a process may take for a check, and that the others wait for it.
    """

    def __init__(self, experiment: Experiment, *, limit: float):
        self._experiment = experiment
        self._limit = limit
        expired = functools.partial(hang.end, folder=Path(tempfile.gettempdir()), do=_RAISE_LIMIT)
        self._watchdog = Watchdog(expired)

    def lines(self, workdir: Path) -> Iterator[str]:
        """Makes every check, and yields what each has found.

        Raises:
          UserError: of the first process where something is wrong, in all of them.
          PeerError: processes differ, or one did not answer in time.
        """
        with self._watchdog:
            yield f"processes  {self._present()}"
            yield f"agreement  {self._agreement()}"
            prepared = self._together("the data", lambda: _read(self._experiment))
            require_same({"data": prepared.summary}, limit=self._limit)
            yield f"data       {prepared.summary}"
            yield f"workdir    {self._workdir(prepared.experiment, workdir)}"
            yield f"step       {self._step(prepared)}"

    def _together(self, what: str, act: Callable[[], Value]) -> Value:
        def limited() -> Value:
            with self._watchdog.limited(what, self._limit):
                return act()

        return processes.together(what, limited, limit=self._limit)

    def _present(self) -> str:
        """Describes the processes by their numbers, hosts and devices."""
        here = jax.local_devices()
        told: list[Any] = processes.gather("its host", [socket.gethostname(), len(here)], limit=self._limit)
        shown = ", ".join(f"{index} on {host} with {count}" for index, (host, count) in enumerate(told[:_SHOWN]))
        more = f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
        return f"{shown}{more}: {jax.device_count()} devices, {here[0].device_kind}"

    def _agreement(self) -> str:
        """Compares configs, code, packages and kinds of devices of all processes."""
        facts = same_everywhere.facts(self._experiment)
        require_same(facts, limit=self._limit)
        config = same_everywhere.digest(str(facts["config"]).encode())
        return f"config {config}, code {facts['code']}; the same packages and devices"

    def _workdir(self, experiment: Experiment, workdir: Path) -> str:
        """Checks that process 0 may begin or resume the run in its workdir, and that all processes share the folder."""
        with self._watchdog.limited("the workdir", self._limit), lock.hold(workdir):
            processes.on_first("the run in the workdir", lambda: _compare(experiment, workdir), limit=self._limit)
        self._together("a file in the workdir", lambda: _write(workdir))
        return f"{workdir} is one folder that every process can write to, and no other run uses it"

    def _step(self, prepared: _Prepared) -> str:
        """Compiles the training step and makes two updates with the first batch."""
        experiment, start = prepared.experiment, time.monotonic()
        program = self._together("the program", lambda: make_program(experiment))
        read = functools.partial(initial_params, experiment, class_names=prepared.class_names)
        initial = self._together("the weights to start from", read)
        (batch,) = itertools.islice(prepared.feed.train(0), 1)
        losses, marks = [], [start]
        with self._watchdog.limited("the first training steps", experiment.limits.compile):
            state = fresh_state(experiment, program, initial)
            for _ in range(2):
                state, outcome = program.train_step(state, place_batch(batch, program.mesh))
                losses.append(float(outcome.loss))
                marks.append(time.monotonic())
        if not all(map(math.isfinite, losses)):
            raise DivergedError(f"the loss of the first batch is {losses[0]}, and {losses[1]} after one update")
        first, second = (end - begin for begin, end in itertools.pairwise(marks))
        return f"compiled and made in {first:.0f} s, again in {second:.2f} s; loss of the first batch {losses[0]:.4f}"


def _read(experiment: Experiment) -> _Prepared:
    """Opens every split and reads this process's part of the first batch of each."""
    complete = from_data.complete(experiment)
    sources = feeds.open_sources(complete.experiment, train=complete.train)
    feed = feeds.feed(complete.experiment, sources)
    for batches in (feed.train(0), *(feed.evaluation(name) for name in sources.evaluation)):
        next(iter(batches), None)
    splits = {"training": sources.train, **sources.evaluation}
    sizes = ", ".join(f"{name} {len(source)}" for name, source in splits.items())
    found = f"{sizes} images of {sources.train.num_classes} classes; the first batch is {feed.digest(0)}"
    return _Prepared(
        experiment=complete.experiment, feed=feed, class_names=tuple(sources.train.class_names), summary=found
    )


def _compare(experiment: Experiment, workdir: Path) -> None:
    """Compares the experiment with the one of the run in a workdir, if there is one."""
    recorded = resume.recorded_experiment(workdir)
    if recorded is not None:
        resume.require_same_run(resume.compare(experiment.with_defaults(recorded), experiment.to_json()))


def _write(workdir: Path) -> None:
    """Writes to the workdir, as every process does with its part of a checkpoint."""
    try:
        with tempfile.NamedTemporaryFile(prefix=".preflight-", dir=workdir) as file:
            file.write(b"preflight")
    except OSError as error:
        raise StorageError(
            f"cannot write to {workdir} on {socket.gethostname()}: {error.strerror or error}",
            do="make the workdir writable on every host",
            code="WORKDIR",
        ) from error
