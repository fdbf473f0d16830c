"""Seeded slips in command lines and configs end in exit 0 or one line that names what is wrong."""

import sys
from pathlib import Path

import pytest

from tests.command_line import mutations


def test_a_few_slips_are_answered_in_one_line_with_the_right_name(tmp_path: Path):
    report = mutations.survey(60, seed=1, folder=tmp_path)
    assert report.total("cases") == 60
    assert [line for line in report.examples if "status" in line or "no message" in line] == []
    assert report.total("key not named") <= 0.05 * 60, report.examples


@pytest.mark.full
def test_two_thousand_slips_are_answered_in_a_second_each(tmp_path: Path):
    report = mutations.survey(2000, seed=0, folder=tmp_path)
    sys.stdout.write("\n".join([*report.table(), *report.examples]))
    assert report.total("status") == 0
    assert report.total("no message") == 0
    assert report.total("slow") == 0
    assert report.total("key not named") <= 0.05 * report.total("cases")
