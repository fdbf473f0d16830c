"""The files of a result, from results that are made up."""

import dataclasses
import json
from pathlib import Path

import pytest

from gauss_vit.studies.ledger import read_rows
from gauss_vit.studies.plan import Plan
from gauss_vit.studies.study_rows import ledger_rows
from gauss_vit.studies.summary import Summary, summarize
from gauss_vit.studies.writing import write_study
from tests.drawing import undrawn
from tests.studies.test_summary import PLAN, RESULTS

DIVERGED = {"with-gauss seed 5": "loss is nan"}


def summary_in(folder: Path, **changes: str) -> Summary:
    plan: Plan = dataclasses.replace(PLAN, workdir=folder, study=dataclasses.replace(PLAN.study, **changes))
    return summarize(plan, RESULTS[:3], diverged=DIVERGED)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Summary, tuple[str, ...]]:
    summary = summary_in(tmp_path_factory.mktemp("result"))
    with undrawn():
        return summary, write_study(summary)


def test_learned_numbers_and_fields_have_figures(written: tuple[Summary, tuple[str, ...]]):
    names = {path.name for path in written[0].plan.workdir.iterdir()}
    assert names >= {"learned.png", "fields.png", "fields.json", "fields.npz", "study.png", "study.pdf"}


def test_lines_say_what_can_be_claimed_and_what_is_missing(written: tuple[Summary, tuple[str, ...]]):
    *lines, last = written[1]
    assert lines == [
        "with-gauss and none: one seed, so that nothing can be claimed; 1 run of theirs diverged",
        "diverged: with-gauss seed 5: loss is nan",
    ]
    assert last.endswith("3 of 4 runs")


def test_record_keeps_times_apart(written: tuple[Summary, tuple[str, ...]]):
    record = json.loads((written[0].plan.workdir / "study.json").read_text())
    assert record["cost"] == {"none": {"seconds_per_step": 0.5}, "with-gauss": {"seconds_per_step": 0.75}}
    assert "seconds" not in json.dumps({key: value for key, value in record.items() if key != "cost"})
    assert record["diverged"] == [{"name": "with-gauss seed 5", "reason": "loss is nan"}]


def test_rows_are_written_as_they_are(written: tuple[Summary, tuple[str, ...]]):
    assert read_rows(written[0].plan.workdir / "ledger.json") == ledger_rows(written[0])


def test_markdown_has_every_table(written: tuple[Summary, tuple[str, ...]]):
    text = (written[0].plan.workdir / "study.md").read_text()
    assert text.count("\n## ") == 6
    assert "| with-gauss | gaussian/sigma | 1, 2 |" in text


def test_page_shows_names_as_text(tmp_path: Path):
    with undrawn():
        write_study(summary_in(tmp_path, title="<script>a\x1b[2J{{data}}</script>"))
    page = (tmp_path / "study.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;a\\x1b[2J{{data}}" in page
