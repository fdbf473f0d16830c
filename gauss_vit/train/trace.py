"""Traces of chosen steps by JAX's profiler, which xprof and TensorBoard show; they never end a run."""

import contextlib
import dataclasses
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import jax

from gauss_vit.distributed import processes
from gauss_vit.errors import ConfigError
from gauss_vit.train.tracking.tracker import reason

FOLDER = Path("plugins/profile")
MOST_STEPS = 50
_LOGGER = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TraceSteps:
    """The steps to trace.

    Attributes:
      first: First step.
      last: Last step, which is traced as well.
      on_all: Whether all processes trace their devices, not the first one alone.
    """

    first: int
    last: int
    on_all: bool = False

    @classmethod
    def parse(cls, text: str, *, num_steps: int) -> "TraceSteps":
        """Reads `FIRST:LAST`, or `FIRST:LAST:all` for all processes.

        Args:
          text: What was asked for.
          num_steps: Number of steps of the run.

        Raises:
          ConfigError: it is not that, or the run has no such steps, or they are too many.

        >>> TraceSteps.parse("10:12", num_steps=100)
        TraceSteps(first=10, last=12, on_all=False)
        """
        numbers = text.removesuffix(":all").split(":")
        if len(numbers) != 2 or not all(number.isdecimal() for number in numbers):
            raise ConfigError(f"--trace must be FIRST:LAST or FIRST:LAST:all, got {text}", do="such as --trace=10:12")
        first, last = (int(number) for number in numbers)
        if not 1 <= first <= last <= num_steps:
            raise ConfigError(f"--trace={text} is not within 1:{num_steps}, the steps of the run")
        if last - first >= MOST_STEPS:
            raise ConfigError(
                f"--trace={text} is of {last - first + 1} steps; at most {MOST_STEPS} make a file that can be read",
                do=f"--trace={first}:{first + MOST_STEPS - 1}",
            )
        return cls(first=first, last=last, on_all=text.endswith(":all"))


class StepTrace:
    """A trace that begins and ends with its steps; a failure is a warning, and ends the trace.

    Args:
      steps: Steps to trace; None traces nothing.
      workdir: Folder of the run.
      step: Number of steps that the run has made.
    """

    def __init__(self, steps: TraceSteps | None, workdir: Path, *, step: int):
        self._steps = steps
        self._workdir = workdir
        self._is_open = False
        self._folder = workdir / FOLDER
        if steps is not None:
            process = "" if processes.is_first() else f"_process_{processes.index()}"
            self._folder /= f"steps_{steps.first}_{steps.last}{process}"
            if steps.last <= step:
                _LOGGER.warning("steps %d to %d were made before: nothing is traced", steps.first, steps.last)

    def step(self, step: int) -> contextlib.AbstractContextManager[object]:
        """Begins the trace if a step is the first one of it, and marks the step within a `with` block."""
        if self._steps is None or not self._steps.first <= step <= self._steps.last:
            return contextlib.nullcontext()
        if not self._is_open:
            self._attempt(self._start)
        return jax.profiler.StepTraceAnnotation("train", step_num=step)

    def ends_with(self, step: int) -> bool:
        """Returns whether the trace is to be closed after a step, once the devices have made it."""
        return self._is_open and self._steps is not None and step >= self._steps.last

    def close(self) -> None:
        """Writes the trace, if one has begun."""
        if self._is_open:
            self._is_open = False
            self._steps = None
            self._attempt(self._stop)

    def _start(self) -> None:
        options = jax.profiler.ProfileOptions()
        # Calls of Python functions are most of a file, and do not say what the devices do.
        options.python_tracer_level = 0
        options.session_id = self._folder.name
        for folder in (self._folder, *self._folder.parents[: len(FOLDER.parts)]):
            if folder.is_symlink():
                raise OSError(f"{folder} is a link, which is not written through")
        if self._folder.exists():
            shutil.rmtree(self._folder)
        jax.profiler.start_trace(self._workdir, profiler_options=options)
        self._is_open = True

    def _stop(self) -> None:
        jax.profiler.stop_trace()
        sizes = [file.stat().st_size for file in self._folder.glob("*.xplane.pb")]
        if not sizes:
            raise OSError(f"the profiler wrote nothing to {self._folder}")
        size = sum(sizes) / 1e6
        _LOGGER.info("traced in %s, %.1f MB; `xprof --logdir=%s` shows it", self._folder, size, self._workdir)

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        # The profiler and the file system each raise types of their own, and none may cost a run its training.
        except Exception as error:
            self._steps = None
            _LOGGER.warning("no trace: %s; training goes on", reason(error))
