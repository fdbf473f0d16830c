"""metrics.jsonl survives kills, resumes and numbers that are not finite."""

import json
from pathlib import Path

import pytest

from gauss_vit.errors import StorageError
from gauss_vit.train.workdir.metrics_log import TRAIN, MetricsLog, entries, splits_at, values_by_step


def write(workdir: Path, *, step: int, steps: range) -> None:
    log = MetricsLog(workdir, step=step)
    for number in steps:
        log.append(TRAIN, number, {"loss": 1 / number})
    log.write_table()
    log.close()


def steps_in(workdir: Path) -> list[int]:
    return [entry["step"] for entry in entries(workdir / "metrics.jsonl")]


def test_lines_after_the_restored_step_are_dropped_and_written_again_alike(tmp_path: Path):
    write(tmp_path, step=0, steps=range(1, 9))
    before = (tmp_path / "metrics.jsonl").read_bytes()
    write(tmp_path, step=5, steps=range(6, 9))
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    "tear", ['{"step": 9, "spl', '{"step": 2, "split": "train"}', "\x00\x00", "[1]\n", '{"loss": 1}\n']
)
def test_torn_last_line_is_dropped(tmp_path: Path, tear: str):
    write(tmp_path, step=0, steps=range(1, 4))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(tear)
    write(tmp_path, step=3, steps=range(4, 6))
    assert steps_in(tmp_path) == [1, 2, 3, 4, 5]


def test_whole_file_is_left_alone(tmp_path: Path):
    write(tmp_path, step=0, steps=range(1, 4))
    inode = (tmp_path / "metrics.jsonl").stat().st_ino
    write(tmp_path, step=3, steps=range(0))
    assert (tmp_path / "metrics.jsonl").stat().st_ino == inode


def test_numbers_that_are_not_finite_are_null(tmp_path: Path):
    log = MetricsLog(tmp_path, step=0)
    log.append("eval", 1, {"loss": float("nan"), "top1": float("inf"), "num_examples": 3})
    line = json.loads((tmp_path / "metrics.jsonl").read_text(), parse_constant=pytest.fail)
    assert line == {"step": 1, "split": "eval", "loss": None, "top1": None, "num_examples": 3}
    log.close()


def test_values_of_a_metric_are_those_of_its_split(tmp_path: Path):
    log = MetricsLog(tmp_path, step=0)
    for step, loss in [(4, 0.1), (8, float("nan")), (12, 0.3)]:
        log.append(TRAIN, step, {"loss": 9.0})
        log.append("eval", step, {"loss": loss})
        log.append("test", step, {"top1": 0.5})
    log.close()
    assert values_by_step(tmp_path, "eval", "loss") == {4: 0.1, 12: 0.3}
    assert values_by_step(tmp_path / "none", "eval", "loss") == {}


def test_table_has_a_column_for_every_name(tmp_path: Path):
    log = MetricsLog(tmp_path, step=0)
    log.append(TRAIN, 1, {"loss": 0.5, "learning_rate": 0.1})
    log.append("eval", 2, {"loss": 0.25, "top1": 1.0})
    log.write_table()
    log.close()
    assert (tmp_path / "metrics.csv").read_text().splitlines() == [
        "step,split,loss,learning_rate,top1",
        "1,train,0.5,0.1,",
        "2,eval,0.25,,1.0",
    ]


def test_splits_are_found_by_their_step(tmp_path: Path):
    assert splits_at(tmp_path, 1) == set()
    log = MetricsLog(tmp_path, step=0)
    log.append(TRAIN, 1, {"loss": 0.5})
    log.append("eval", 2, {"loss": 0.5})
    log.append("v2", 2, {"loss": 0.5})
    log.sync()
    assert (splits_at(tmp_path, 1), splits_at(tmp_path, 2)) == ({"train"}, {"eval", "v2"})
    log.close()


def test_folder_that_cannot_be_written_is_an_error(tmp_path: Path):
    with pytest.raises(StorageError, match="cannot write"):
        MetricsLog(tmp_path / "missing", step=0)
