"""The line of progress."""

import pytest

from gauss_vit.train.workdir.progress import duration, progress_line

LINE = {"metrics": "loss 1.23 top1 84.1 %", "learning_rate": 3e-4, "batch_size": 6}


def test_line_reads_as_documented():
    line = progress_line(500, 9200, **LINE, steps_per_second=140.0)
    assert line == "[500/9200] loss 1.23 top1 84.1 % lr 3.0e-04 | 840 images/s | 1m02s left"


def test_line_names_the_epoch_where_there_is_one():
    line = progress_line(50, 100, epoch=0.84, **LINE, steps_per_second=140.0)
    assert line.startswith("[50/100] epoch 0.8 loss 1.23 ")


def test_line_without_speed():
    line = progress_line(1, 10, metrics="loss 0.00123", learning_rate=0.0, batch_size=8, steps_per_second=0.0)
    assert line == "[1/10] loss 0.00123 lr 0.0e+00 | 0 images/s | -- left"


def test_line_says_the_utilization_where_it_is_known():
    line = progress_line(500, 9200, **LINE, steps_per_second=140.0, utilization=0.4149)
    assert " | 840 images/s (MFU 41 %) | " in line


@pytest.mark.parametrize(("share", "text"), [(0.049, "840 images/s | "), (0.2, "840 images/s, input wait 20 % | ")])
def test_line_says_the_input_wait_where_it_is_worth_a_word(share: float, text: str):
    assert text in progress_line(500, 9200, **LINE, steps_per_second=140.0, input_wait=share)


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
