"""What the pages of performance numbers are made of."""

import pytest

from benchmarks import report, rows, timing
from benchmarks.rows import Figure, Row


def test_ratios_are_taken_within_a_round():
    # The machine was twice as slow in the second round: each side doubles, and the ratio stays.
    found = rows.quotient([1.0, 2.0, 1.0], [2.0, 4.0, 2.0])
    assert found == Figure(median=0.5, min=0.5, max=0.5)


@pytest.mark.parametrize(
    ("bars", "expected"),
    [({"at_least": 1.2}, ">= 1.2: met"), ({"at_least": 1.4}, ">= 1.4: missed"), ({"at_most": 1.2}, "<= 1.2: missed")],
)
def test_a_bar_judges_the_ratio(bars, expected):
    row = Row(what="step", ours=rows.figure([9.0], "s"), peer=rows.figure([9.0], "s"), ratio=rows.figure([1.3]), **bars)
    assert rows.verdict(row) == expected


def test_a_bar_judges_our_figure_where_there_is_no_ratio():
    assert rows.verdict(Row(what="start", ours=rows.figure([11.0], "s"), at_most=10)) == "<= 10: missed"


def test_paths_of_the_machine_are_not_shown():
    words = ["--peer-python=/opt/x/python", "--images=/data/photos", "--data=/photos", "--out=/tmp/f.json"]
    assert rows.shown([*words, "--depth=2"]) == [
        "--peer-python=PYTHON_WITH_TIMM",
        "--images=PHOTOS",
        "--data=PHOTOS",
        "--depth=2",
    ]


def test_sides_take_turns_and_lead_in_turns():
    order = []

    def side(name):
        return lambda: order.append(name) or {"wall": 1.0, "cpu": float(len(order))}

    found = timing.interleaved({"ours": side("ours"), "peer": side("peer")}, rounds=2)
    assert order == ["ours", "peer", "peer", "ours"]
    assert timing.of_clock(found["ours"], "cpu") == [1.0, 4.0]


def test_the_page_shows_every_row_of_a_record(monkeypatch):
    monkeypatch.setattr("sys.argv", ["train", "--depth=2"])
    table = [Row(what="eager float32", ours=rows.figure([17.0], "images/s"), peer=None, ratio=None)]
    page = report.page([rows.record(table, ratio="ours / timm", peer="timm", notes=("Batch 8.",))])
    assert "| eager float32 | 17.0 images/s |  |  |  |" in page
    assert "--depth=2" in page and "Batch 8." in page
