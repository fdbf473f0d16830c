"""The benchmark of the measurement makes the same steps with and without it."""

from collections.abc import Callable, Iterable
from types import SimpleNamespace

from benchmarks import measuring


class Steps:
    """Counts its steps."""

    batch = "batch"

    def __init__(self):
        self.num_steps = 0

    def along(self, batches: Iterable[str], *, follow: Callable[[object], object] = lambda outcome: None) -> None:
        for batch in batches:
            assert batch == self.batch
            self.num_steps += 1
            follow(SimpleNamespace(is_finite=SimpleNamespace(is_ready=lambda: True)))


def test_both_sides_make_the_same_steps():
    for side in (measuring.bare, measuring.measured):
        steps = Steps()
        side(steps, 7)
        assert steps.num_steps == 7


def test_the_calls_alone_run():
    measuring.calls_alone(3)
