"""Seeded slips in command lines and configs end in exit 0 or one line that names what is wrong."""

import subprocess
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
    """In a process of its own, as seconds count and the types of arrays are checked here."""
    command = [sys.executable, "-m", "tests.command_line.mutations", "--count=2000", f"--folder={tmp_path}"]
    survey = subprocess.run(command, capture_output=True, text=True, check=False)
    assert survey.returncode == 0, survey.stdout + survey.stderr
