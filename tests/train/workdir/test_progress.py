"""The line of progress, with a clock that tests set."""

import pytest

from gauss_vit.train.workdir.progress import Pace, duration, progress_line


class Clock:
    """Seconds that pass when told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def pace_of(num_steps: int, *, seconds: float) -> tuple[Pace, Clock]:
    clock = Clock()
    pace = Pace(clock)
    clock.now += 50.0
    pace.count()
    for _ in range(num_steps):
        clock.now += seconds
        pace.count()
    return pace, clock


def test_line_reads_as_documented():
    pace, _ = pace_of(100, seconds=1 / 140)
    line = progress_line(500, 9200, metrics="loss 1.23 top1 84.1 %", learning_rate=3e-4, batch_size=6, pace=pace)
    assert line == "[500/9200] loss 1.23 top1 84.1 % lr 3.0e-04 | 840 images/s | 1m02s left"


def test_line_names_the_epoch_where_there_is_one():
    pace, _ = pace_of(100, seconds=1 / 140)
    line = progress_line(50, 100, epoch=0.84, metrics="loss 1.23", learning_rate=3e-4, batch_size=6, pace=pace)
    assert line.startswith("[50/100] epoch 0.8 loss 1.23 lr ")


def test_line_without_speed():
    line = progress_line(1, 10, metrics="loss 0.00123", learning_rate=0.0, batch_size=8, pace=Pace(Clock()))
    assert line == "[1/10] loss 0.00123 lr 0.0e+00 | 0 images/s | -- left"


def test_first_step_which_compiles_does_not_count():
    pace, _ = pace_of(10, seconds=0.5)
    assert pace.steps_per_second == pytest.approx(2.0)


def test_pauses_do_not_count():
    pace, clock = pace_of(10, seconds=0.5)
    with pace.paused():
        clock.now += 1000.0
    assert pace.steps_per_second == pytest.approx(2.0)


def test_restart_begins_a_new_interval():
    pace, clock = pace_of(10, seconds=0.5)
    pace.restart()
    assert pace.steps_per_second == 0.0
    clock.now += 0.1
    pace.count()
    assert pace.steps_per_second == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (59.4, "59s"),
        (59.6, "1m00s"),
        (62.0, "1m02s"),
        (3599.7, "1h00m"),
        (7500.0, "2h05m"),
        (360000.0, "100h00m"),
    ],
)
def test_time_spans_have_two_units(seconds: float, text: str):
    assert duration(seconds) == text
