"""The page of performance numbers: what it says of the device, and what it still waits for."""

import json
import shlex
from pathlib import Path

import pytest

from benchmarks import attention, report, rows

ROOT = Path(report.__file__).parent.parent


def record(device: str, command: str = "python -m benchmarks.train", **details) -> dict[str, object]:
    """A record as older versions wrote it, of another device."""
    machine = {"processor": "Xeon", "extensions": ["avx2"], "cores": 1, "load_average": 0.5, "device": device}
    table = [rows.Row(what="eager", ours=rows.figure([1.0], "images/s"))]
    found = rows.record(table, ratio="ours / timm", peer="timm", **details)
    return found | {"command": command, "machine": machine | {"jax": "1", "flax": "2", "python": "3"}}


def test_a_page_of_a_cpu_says_that_everything_waits_for_a_gpu():
    page = report.page([record("8 x cpu")])
    assert "device: 8 x cpu" in page and report.NOTHING in page
    assert all(one.command in page for one in report.WAITING)


def test_what_ran_on_a_gpu_waits_no_more_whatever_its_rounds_and_sizes():
    command = (
        report.WAITING[1]
        .command.replace("--rounds=5", "--rounds=9")
        .replace("--batch_size=512", "--batch_size=1024 --threads=4")
    )
    page = report.page([record("8 x cpu"), record("1 x NVIDIA H200", command)])
    assert "device: 1 x NVIDIA H200" in page
    assert report.NOTHING not in page and report.SOME in page
    assert report.WAITING[1].command not in page and report.WAITING[0].command in page


@pytest.mark.parametrize("change", ["--depth=2", "--attention_kernel=whole"])
def test_another_comparison_leaves_the_command_waiting(change: str):
    page = report.page([record("1 x NVIDIA H200", f"{report.WAITING[0].command} {change}")])
    assert report.WAITING[0].command in page


def test_a_page_with_everything_waits_for_nothing():
    commands = [one.command.replace("PYTHON_WITH_OPENERF", "PYTHON_WITH_TIMM") for one in report.WAITING]
    page = report.page([record("1 x NVIDIA H100 80GB HBM3", command) for command in commands])
    assert "Not run" not in page and page.endswith("|\n")


def test_versions_of_both_sides_are_shown():
    found = record("1 x cpu", peer_versions={"torch": "2.13", "timm": "1.0"})
    found["machine"]["packages"] = {"simplejpeg": "1.9.0"}
    page = report.page([found])
    assert "jax 1, flax 2, python 3, simplejpeg 1.9.0. The peer: torch 2.13, timm 1.0. Settings" in page


def test_the_sizes_of_the_attention_command_can_be_read():
    (command,) = (one.command for one in report.WAITING if "benchmarks.attention" in one.command)
    flags = dict(word.split("=") for word in shlex.split(command) if "=" in word)
    assert [grid for _, grid in attention.sizes(flags["--cases"])] == [(14, 14), (32, 32), (64, 64)]
    assert len(attention.grids(flags["--check"])) == 4


def test_the_page_in_the_documents_is_made_of_the_records_that_stand_beside_the_benchmarks():
    records = [json.loads(path.read_text()) for path in sorted((ROOT / "benchmarks" / "records").glob("*.json"))]
    assert records
    assert (ROOT / "docs" / "performance.md").read_text() == report.page(records)
