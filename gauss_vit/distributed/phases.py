"""What each process of a run waits for, told to the others."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, cast

from gauss_vit.distributed import processes
from gauss_vit.distributed.watchdog import Watchdog

_FOLDER = "phase"
_EVERY_SECONDS = 2.0
_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Phase:
    """What a process waits for.

    Attributes:
      what: What it is.
      seconds: How long it has waited.
      left: Seconds up to its limit.
    """

    what: str
    seconds: float
    left: float


@contextmanager
def told(watchdog: Watchdog) -> Iterator[None]:
    """Tells the other processes, if there are any, what a watchdog sees within a `with` block.

    After it this process has no time left for anything, so that none of the others goes on waiting for it.
    """
    if processes.count() == 1:
        yield
        return
    is_done, key = threading.Event(), f"{_FOLDER}/{processes.index()}"

    def tell() -> None:
        while not is_done.wait(_EVERY_SECONDS):
            wait, seconds = watchdog.now()
            if wait is not None:
                phase = Phase(what=wait.what, seconds=seconds, left=wait.limit - seconds)
                processes.tell(key, asdict(phase))
        processes.tell(key, asdict(Phase(what="the others", seconds=0.0, left=0.0)))

    threading.Thread(target=tell, name="telling what is waited for", daemon=True).start()
    try:
        yield
    finally:
        is_done.set()


def of_others() -> dict[int, Phase]:
    """Returns what the other processes told last."""
    if processes.count() == 1:
        return {}
    told = {int(name): Phase(**cast(Any, phase)) for name, phase in (processes.told(_FOLDER) or {}).items()}
    return {process: phase for process, phase in sorted(told.items()) if process != processes.index()}


def listed(phases: Mapping[int, Phase]) -> list[str]:
    """Describes phases, a line a process.

    >>> listed({1: Phase(what="training step 7", seconds=12.0, left=3.0)})
    ['process 1 waits for training step 7 since 12 s']
    """
    lines = [f"process {index} waits for {phase.what} since {phase.seconds:.0f} s" for index, phase in phases.items()]
    return lines[:_SHOWN] + ([f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else [])
