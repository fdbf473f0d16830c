"""Times of a run: lines are added by every process, and what came before counts."""

import json
from pathlib import Path

import pytest

from gauss_vit.errors import StorageError
from gauss_vit.train.workdir.timing_log import TimingLog


def write(folder: Path, *, seconds: float, step: int) -> None:
    times = iter((100.0, 100.0 + seconds))
    log = TimingLog(folder, lambda: next(times))
    log.append(step, epoch=step / 8, images_per_second=812.345)
    log.close()


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "timing.jsonl").read_text().splitlines()]


def test_a_line_holds_step_epoch_time_and_speed(tmp_path: Path):
    write(tmp_path, seconds=2.5, step=4)
    assert lines(tmp_path) == [{"step": 4, "epoch": 0.5, "elapsed_seconds": 2.5, "images_per_second": 812.3}]


def test_time_goes_on_where_the_process_before_ended(tmp_path: Path):
    write(tmp_path, seconds=2.5, step=4)
    write(tmp_path, seconds=1.0, step=4)
    assert [line["elapsed_seconds"] for line in lines(tmp_path)] == [2.5, 3.5]


def test_a_torn_line_costs_only_itself(tmp_path: Path):
    write(tmp_path, seconds=2.5, step=4)
    with (tmp_path / "timing.jsonl").open("a") as file:
        file.write('{"step": 8, "elap')
    write(tmp_path, seconds=1.0, step=12)
    *_, last = (tmp_path / "timing.jsonl").read_text().splitlines()
    assert json.loads(last)["elapsed_seconds"] == 3.5


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "timing.jsonl").mkdir()
    with pytest.raises(StorageError, match=r"cannot write .*timing\.jsonl"):
        TimingLog(tmp_path)
