"""Only waits in which the devices are idle count as input."""

from collections.abc import Iterator

import pytest

from gauss_vit.train.input_wait import InputWait
from gauss_vit.train.wall_time import WallTime
from tests.train.clock import Clock


def waits(*, step: float, wait: float, num_steps: int = 6, log_every: int = 2) -> tuple[float, float]:
    """The seconds of input and of steps of a loop whose steps and batches take so long, and which reports at times."""
    clock = Clock()
    wall = WallTime(clock)
    measured = InputWait(wall)
    free, results = clock.now, []

    def batches() -> Iterator[int]:
        for index in range(num_steps):
            clock.now += wait
            yield index

    with wall.within("step"):
        for index in measured.timed(batches()):
            free = max(free, clock.now) + step
            results.append(free)
            measured.follow(lambda end=free: clock.now >= end)
            if len(results) > 1:
                clock.now = max(clock.now, results[-2])
            if (index + 1) % log_every == 0:
                clock.now = max(clock.now, results[-1])
                measured.ended()
    seconds = wall.seconds()
    assert sum(seconds.values()) == pytest.approx(clock.now - 100.0)
    return seconds["input"], seconds["step"]


def test_waits_that_steps_cover_count_as_steps():
    input_seconds, step_seconds = waits(step=10.0, wait=1.0)
    # Nothing runs during the first wait, and during those after a report, which waits for its step.
    assert input_seconds == pytest.approx(3.0)
    assert step_seconds == pytest.approx(60.0)


def test_of_waits_that_are_longer_than_steps_the_rest_counts():
    input_seconds, step_seconds = waits(step=2.0, wait=10.0, num_steps=20, log_every=5)
    # All of the first wait and of four after reports; up to the first report, of 4 waits whose step is not timed yet.
    assert input_seconds == pytest.approx(10.0 + 3 * 10.0 + 4 * 10.0 + 3 * 4 * 8.0)
    assert step_seconds == pytest.approx(4 * 2.0 + 3 * 4 * 2.0)


def test_input_that_never_waits_costs_nothing():
    assert waits(step=2.0, wait=0.0) == (0.0, pytest.approx(12.0))
