"""The wall time of a run, divided among what its loop does, and the speed of its steps.

Nothing waits for the devices to be measured: clocks are read where the loop passes from one phase to the next, and
seconds of compilation are those that JAX itself reports.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType, TracebackType
from typing import Literal, get_args

import jax

Clock = Callable[[], float]
Phase = Literal["start", "compile", "step", "input", "evaluation", "observation", "save", "repeated", "stopped"]
"""What wall time is spent on.

  start: reading the newest checkpoint, initial parameters, opening files.
  compile: tracing and compiling, of whatever function; reading compiled programs from the cache on disk.
  step: training steps, the reports between them included.
  input: waiting for a batch while the devices had nothing to do.
  evaluation: the evaluators.
  observation: measuring and drawing what is observed.
  save: waiting for checkpoints; their writing goes on during later steps.
  repeated: whatever a process did after the checkpoint that a later one resumed from.
  stopped: from the last line of one process to the start of the next one, also while nobody wanted the run to go on.
"""

PHASES: tuple[Phase, ...] = get_args(Phase)
_COMPILATION = "/jax/core/compile/"

_WORDS: Mapping[Phase, str] = MappingProxyType(
    {
        "step": "steps",
        "compile": "compilation",
        "input": "input wait",
        "save": "saves",
        "repeated": "repeated steps",
    }
)


class WallTime:
    """A clock that is in one phase at any moment. Within its `with` block, compilations of this thread are counted.

    Args:
      clock: Function that returns monotonic seconds.
    """

    def __init__(self, clock: Clock = time.monotonic):
        self.clock = clock
        self._phase: Phase = "start"
        self._since = clock()
        self._seconds: dict[Phase, float] = dict.fromkeys(PHASES, 0.0)
        self._thread = threading.get_ident()
        self._compilations: list[tuple[float, float]] = []

    def __enter__(self) -> "WallTime":
        """Listens to compilations."""
        jax.monitoring.register_event_duration_secs_listener(self._take_compilation)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Listens no longer."""
        jax.monitoring.unregister_event_duration_listener(self._take_compilation)

    @contextlib.contextmanager
    def within(self, phase: Phase) -> Iterator[None]:
        """Is in a phase within a `with` block, and afterwards in the one around it."""
        outer = self._phase
        self._pass_to(phase)
        try:
            yield
        finally:
            self._pass_to(outer)

    def add(self, seconds: Mapping[Phase, float]) -> None:
        """Adds the seconds of earlier processes of the run."""
        for phase, value in seconds.items():
            self._seconds[phase] += value

    def move(self, seconds: float, *, source: Phase, target: Phase) -> None:
        """Counts some seconds as those of another phase."""
        self._seconds[source] -= seconds
        self._seconds[target] += seconds

    def seconds(self) -> dict[Phase, float]:
        """Returns the seconds of every phase so far."""
        self._pass_to(self._phase)
        return dict(self._seconds)

    def _pass_to(self, phase: Phase) -> None:
        now = self.clock()
        self._seconds[self._phase] += now - self._since
        self._phase, self._since = phase, now

    def _take_compilation(self, event: str, duration_secs: float, **kwargs: str | int) -> None:
        """Counts a part of a compilation, without those within it, which ended before and are counted already."""
        del kwargs
        if not event.startswith(_COMPILATION) or threading.get_ident() != self._thread:
            return
        now, inside = self.clock(), 0.0
        # JAX measures with a clock that can be set.
        duration = min(max(duration_secs, 0.0), now - self._since)
        while self._compilations and self._compilations[-1][0] >= now - duration:
            inside += self._compilations.pop()[1]
        self._compilations.append((now - duration, duration))
        self.move(duration - inside, source=self._phase, target="compile")


class Pace:
    """The speed of steps in an interval, by the seconds of steps and of input, without the first step, which compiles.

    Args:
      wall: Clock of the run.
    """

    def __init__(self, wall: WallTime):
        self._wall = wall
        self._num_steps = 0
        self._is_warm = False
        self._before = wall.seconds()

    def restart(self) -> None:
        """Starts a new interval."""
        self._before, self._num_steps = self._wall.seconds(), 0

    def count(self) -> None:
        """Counts a step."""
        if self._is_warm:
            self._num_steps += 1
        else:
            self._is_warm = True
            self.restart()

    @property
    def steps_per_second(self) -> float:
        """Steps per second in this interval; 0 if there is none yet."""
        seconds = self._passed("step") + self._passed("input")
        return self._num_steps / seconds if seconds > 0.0 else 0.0

    @property
    def input_wait(self) -> float:
        """Share of the time of this interval's steps in which the devices waited for input."""
        seconds = self._passed("step") + self._passed("input")
        return self._passed("input") / seconds if seconds > 0.0 else 0.0

    def _passed(self, phase: Phase) -> float:
        return self._wall.seconds()[phase] - self._before[phase]


def goodput(seconds: Mapping[Phase, float]) -> float:
    """Returns the share of the wall time that was spent on steps which the final parameters contain.

    >>> goodput({"step": 90.0, "compile": 6.0, "repeated": 4.0})
    0.9
    """
    total = sum(seconds.values())
    return seconds["step"] / total if total > 0.0 else 0.0


def breakdown(seconds: Mapping[Phase, float]) -> str:
    """Describes the shares of the phases, the largest first, without those under a thousandth.

    >>> breakdown({"step": 930.0, "compile": 66.0, "save": 4.0, "input": 0.0})
    'steps 93.0 %, compilation 6.6 %, saves 0.4 %'
    """
    total = sum(seconds.values())
    shares = {phase: value / total for phase, value in seconds.items() if value > 0.001 * total}
    largest = sorted(shares, key=lambda phase: -shares[phase])
    return ", ".join(f"{_WORDS.get(phase, phase)} {100 * shares[phase]:.1f} %" for phase in largest)
