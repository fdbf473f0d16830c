"""`study`: the files that it leaves, from runs that are pretended, and what it answers.

Runs that are real are in the full tier, in `tests/studies/test_kill.py`.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gauss_vit import main as program
from gauss_vit.studies.ledger import read_rows
from tests.drawing import undrawn
from tests.studies.pretended import (
    NUM_STEPS,
    RECORD,
    PretendedChildren,
    plan_in,
    pretend_measuring,
    pretend_training,
)

SOURCE = "--config=tests/studies/tiny_study.py"
FILES = {"study.json", "study.md", "study.html", "study.png", "study.pdf", "ledger.json"}


@pytest.fixture(autouse=True)
def pretended(monkeypatch: pytest.MonkeyPatch):
    """Reads the record of a checkpoint that is not there."""
    monkeypatch.setattr("gauss_vit.studies.run_result.read_record", lambda folder, step: RECORD)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a finished study."""
    path = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch, undrawn():
        patch.setattr("gauss_vit.studies.run_result.read_record", lambda folder, step: RECORD)
        patch.setattr("gauss_vit.studies.execution.Children", lambda: PretendedChildren(plan_in(path)))
        assert program.main(["study", SOURCE, f"--workdir={path}"]) == 0
        yield path


def test_result_is_written_in_every_form(folder: Path):
    assert {path.name for path in folder.iterdir() if path.is_file()} == FILES
    record = json.loads((folder / "study.json").read_text())
    assert [arm["name"] for arm in record["arms"]] == ["none", "with-gauss"]
    assert record["missing"] == []
    assert record["differences"][0]["baseline"] == "none"
    assert len(record["differences"][0]["interval_over_images"]) == 2


def test_rows_are_those_of_four_runs_two_arms_and_a_difference(folder: Path):
    rows = read_rows(folder / "ledger.json")
    assert len(rows) == 7
    for arm, seed, row in zip(["none", "with-gauss"] * 2, [0, 0, 5, 5], rows, strict=False):
        measured = json.loads((folder / arm / f"seed_{seed}" / "evaluation.json").read_text())
        assert row.ours == pytest.approx(100 * measured["top1"])
        assert str(folder) not in str(row)


def test_page_loads_nothing(folder: Path):
    page = (folder / "study.html").read_text()
    assert "http" not in page.replace("http-equiv", "")
    assert "<h1>Tiny</h1>" in page and "{{" not in page
    assert page.count("data:image/png;base64,") == 1


def test_same_command_changes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("gauss_vit.studies.execution.process_command", lambda _: pytest.fail("a run was repeated"))
    before = {name: (folder / name).read_bytes() for name in FILES}
    assert program.main(["study", SOURCE, f"--workdir={folder}"]) == 0
    assert {name: (folder / name).read_bytes() for name in FILES} == before
    assert capsys.readouterr().out.splitlines()[-1].endswith("4 of 4 runs")


def test_other_experiment_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]):
    other = [SOURCE, "--config.optimizer.learning_rate=0.5", f"--workdir={folder}"]
    assert program.main(["study", *other]) == 2
    assert "none seed 0 was started with another experiment" in capsys.readouterr().err


def test_plan_runs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert program.main(["study", SOURCE, f"--workdir={tmp_path / 'W'}", "--plan"]) == 0
    assert "Tiny: 2 arms, 2 seeds, 4 runs" in capsys.readouterr().out
    assert not (tmp_path / "W").exists()


def test_result_so_far_is_of_the_finished_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    plan = plan_in(tmp_path)
    for run in plan.runs[:3]:
        pretend_training(run)
        pretend_measuring(run)
    pretend_training(plan.runs[3], step=NUM_STEPS - 1)
    monkeypatch.setattr("gauss_vit.studies.execution.process_command", lambda _: pytest.fail("a run was started"))
    with undrawn():
        assert program.main(["study", SOURCE, f"--workdir={tmp_path}", "--so_far"]) == 0
    *_, missing, written = capsys.readouterr().out.splitlines()
    assert missing == f"not finished: {plan.runs[3].name}"
    assert written.endswith("3 of 4 runs")
    record = json.loads((tmp_path / "study.json").read_text())
    assert [arm["seeds"] for arm in record["arms"]] == [[0, 5], [0]]
    assert list(record["differences"][0]["by_seed"]) == ["0"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((SOURCE, "--so_far"), "is finished. DO: leave out --so_far to run it"),
        ((SOURCE, "--so_far", "--run=0"), "--so_far and --run exclude each other"),
        ((SOURCE, "--run=4"), "--run must be an integer from 0 to 3, got 4"),
        ((SOURCE, "--config.seed=3"), "would give all runs one seed"),
        ((SOURCE + ":gauss",), "names one experiment"),
        (("--config=tests/tiny_config.py",), "there is no function get_study"),
    ],
)
def test_wrong_command_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], complaint: str
):
    assert program.main(["study", *arguments, f"--workdir={tmp_path}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line
