"""The progress line, and the monotonic clock that measures the speed."""

import contextlib
import time
from collections.abc import Callable, Iterator

Clock = Callable[[], float]


class Pace:
    """Measures the speed of steps, without evaluations, saves, and the first step, which compiles.

    Args:
      clock: function that returns monotonic seconds.
    """

    def __init__(self, clock: Clock = time.monotonic):
        self._clock = clock
        self._paused = 0.0
        self._num_steps = 0
        self._is_warm = False
        self._start = clock()

    def restart(self) -> None:
        """Starts a new interval."""
        self._start, self._paused, self._num_steps = self._clock(), 0.0, 0

    def count(self) -> None:
        """Counts a step."""
        if self._is_warm:
            self._num_steps += 1
        else:
            self._is_warm = True
            self.restart()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Pauses the clock within a `with` block."""
        start = self._clock()
        try:
            yield
        finally:
            self._paused += self._clock() - start

    @property
    def steps_per_second(self) -> float:
        """Steps per second in this interval; 0 if there is none yet."""
        elapsed = self._clock() - self._start - self._paused
        return self._num_steps / elapsed if elapsed > 0.0 else 0.0


def progress_line(
    step: int,
    num_steps: int,
    *,
    epoch: float | None = None,
    metrics: str,
    learning_rate: float,
    batch_size: int,
    pace: Pace,
) -> str:
    """Formats one line, such as `[500/9200] epoch 0.8 loss 1.23 top1 84.1 % lr 3.0e-04 | 812 images/s | 1m02s left`.

    Args:
      step: Number of updates made.
      num_steps: Number of updates of the run.
      epoch: Number of epochs made; None if the number of examples is not known.
      metrics: Metrics of the interval, as the task describes them.
      learning_rate: Learning rate of the last update.
      batch_size: Number of images per step.
      pace: Clock of the steps.
    """
    speed = pace.steps_per_second
    rest = "--" if speed == 0.0 else duration((num_steps - step) / speed)
    made = "" if epoch is None else f"epoch {epoch:.1f} "
    return (
        f"[{step}/{num_steps}] {made}{metrics} lr {learning_rate:.1e} | {speed * batch_size:.0f} images/s | {rest} left"
    )


def duration(seconds: float) -> str:
    """Formats a time span with its two largest units.

    >>> duration(62.4), duration(9.6), duration(7500.0)
    ('1m02s', '10s', '2h05m')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
