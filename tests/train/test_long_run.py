"""What a run holds of memory, threads and files does not grow; `python -m tests.train.long_run` is the whole proof."""

import dataclasses
from pathlib import Path

import pytest

from tests.train.long_run import Sample, complaints, long_run

STEADY = [Sample(step, memory=1000, threads=30, files=13, compilations=20) for step in range(50)]


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("memory", 1049, ""),
        ("memory", 1051, "memory grew by 5.1%"),
        ("threads", 31, "threads grew from 30 to 31"),
        ("files", 14, "files grew from 13 to 14"),
        ("compilations", 21, "1 later compilations"),
    ],
)
def test_growth_is_found_and_a_warm_up_is_not(name: str, value: int, complaint: str):
    grown = [dataclasses.replace(sample, **{name: value}) for sample in STEADY[-6:]]
    assert "; ".join(complaints([*STEADY[:-6], *grown])) == complaint
    warm = [dataclasses.replace(sample, **{name: 1}) for sample in STEADY[:9]]
    assert complaints([*warm, *STEADY[9:]]) == []


@pytest.mark.full
def test_a_run_of_300_steps_and_60_saves_holds_no_more_at_its_end(tmp_path: Path):
    samples = long_run(tmp_path, num_steps=300, num_saves=60, num_evaluations=10)
    assert len(samples) == 60
    assert complaints(samples) == []
