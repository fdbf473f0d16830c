"""Times of a run: lines are added by every process, and what came before counts."""

import dataclasses
import json
from pathlib import Path

import pytest

from gauss_vit.errors import StorageError
from gauss_vit.train.wall_time import PHASES, Phase
from gauss_vit.train.workdir import timing_log
from gauss_vit.train.workdir.timing_log import Timing, TimingLog, seconds_before, summary

NOTHING: dict[Phase, float] = dict.fromkeys(PHASES, 0.0)
TIMING = Timing(
    epoch=0.5,
    images_per_second=812.345,
    model_flops_utilization=0.41234,
    input_wait=0.0123,
    peak_device_memory_bytes=3 * 2**30,
    peak_host_memory_bytes=2**30,
    seconds=NOTHING | {"step": 90.0, "compile": 10.0, "stopped": 100.0},
)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of day, in a list."""
    times = [1000.0]
    monkeypatch.setattr(timing_log.time, "time", lambda: times[0])
    return times


def write(folder: Path, step: int, /, **seconds: float) -> None:
    log = TimingLog(folder)
    log.append(step, dataclasses.replace(TIMING, seconds=NOTHING | seconds))
    log.close()


def test_a_line_holds_what_is_documented(tmp_path: Path, now: list[float]):
    log = TimingLog(tmp_path)
    log.append(4, TIMING)
    log.close()
    (line,) = (json.loads(line) for line in (tmp_path / "timing.jsonl").read_text().splitlines())
    assert line == {
        "step": 4,
        "time": 1000.0,
        "epoch": 0.5,
        "elapsed_seconds": 100.0,
        "images_per_second": 812.3,
        "goodput": 0.45,
        "model_flops_utilization": 0.4123,
        "input_wait": 0.0123,
        "peak_device_memory_bytes": 3 * 2**30,
        "peak_host_memory_bytes": 2**30,
        "seconds": NOTHING | {"step": 90.0, "compile": 10.0, "stopped": 100.0},
    }


def test_trackers_get_what_is_known():
    unknown = dataclasses.replace(TIMING, model_flops_utilization=None, images_per_second=None)
    assert unknown.numbers() == {"goodput": 0.45, "input_wait": 0.0123, "peak_device_memory_bytes": 3 * 2**30}


def test_time_goes_on_where_the_process_before_ended(tmp_path: Path, now: list[float]):
    write(tmp_path, 4, step=9.0, compile=1.0)
    now[0] += 60.0
    assert seconds_before(tmp_path, 4) == NOTHING | {"step": 9.0, "compile": 1.0, "stopped": 60.0}


def test_what_came_after_the_checkpoint_is_repeated(tmp_path: Path, now: list[float]):
    write(tmp_path, 4, start=2.0, step=9.0)
    write(tmp_path, 8, start=2.0, step=18.0, save=1.0)
    assert seconds_before(tmp_path, 6) == NOTHING | {"start": 2.0, "step": 9.0, "repeated": 10.0}
    # The next process adds its own to that, is killed, and is followed by a third.
    now[0] += 60.0
    write(tmp_path, 8, start=3.0, step=18.0, repeated=10.0, stopped=60.0)
    write(tmp_path, 12, start=3.0, step=27.0, repeated=10.0, stopped=60.0)
    now[0] += 5.0
    expected = {"start": 3.0, "step": 18.0, "repeated": 19.0, "stopped": 65.0}
    assert seconds_before(tmp_path, 8) == NOTHING | expected


def test_all_is_repeated_where_there_is_no_checkpoint(tmp_path: Path, now: list[float]):
    write(tmp_path, 4, start=2.0, step=9.0)
    assert seconds_before(tmp_path, 0) == NOTHING | {"repeated": 11.0}


def test_a_clock_that_was_set_back_takes_nothing_off(tmp_path: Path, now: list[float]):
    write(tmp_path, 4, step=9.0)
    now[0] -= 7200.0
    assert seconds_before(tmp_path, 4) == NOTHING | {"step": 9.0}


@pytest.mark.parametrize("line", ['{"step": 8, "ela', "[]", "{}", '{"step": 8, "time": 1, "seconds": 3}', '{"a": "\\'])
def test_a_torn_line_costs_only_itself(tmp_path: Path, now: list[float], line: str):
    write(tmp_path, 4, step=9.0)
    with (tmp_path / "timing.jsonl").open("a") as file:
        file.write(line)
    assert seconds_before(tmp_path, 8) == NOTHING | {"step": 9.0}
    write(tmp_path, 12, step=10.0)
    assert seconds_before(tmp_path, 12) == NOTHING | {"step": 10.0}


def test_a_fresh_run_has_no_time_before(tmp_path: Path):
    assert seconds_before(tmp_path, 0) == {}


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "timing.jsonl").mkdir()
    with pytest.raises(StorageError, match=r"cannot write .*timing\.jsonl"):
        TimingLog(tmp_path)


def test_summary_says_where_time_and_memory_went():
    said = (
        "wall time 3m20s: stopped 50.0 %, steps 45.0 %, compilation 5.0 %; peak memory 3.0 GiB on a device, 1.0 GiB on"
    )
    assert summary(TIMING) == f"{said} the host"
    assert "peak memory 1.0 GiB on the host" in summary(dataclasses.replace(TIMING, peak_device_memory_bytes=None))
