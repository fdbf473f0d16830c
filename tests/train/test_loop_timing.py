"""What a run says about its own time adds up, also over processes that were stopped or lost their last steps."""

import dataclasses
import json
import logging
import shutil
from pathlib import Path

import pytest

from gauss_vit.train.loop import fit
from gauss_vit.train.utilization import Utilization
from gauss_vit.train.wall_time import goodput
from tests.train.incidents import interrupted_at
from tests.train.toy import TRAINING, run_in


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "timing.jsonl").read_text().splitlines()]


def test_seconds_add_up_over_processes(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    with pytest.raises(SystemExit):
        fit(interrupted_at(run_in(tmp_path), 7))
    # The process after that loses what it did, from step 6 on.
    shutil.rmtree(tmp_path / "checkpoints" / "7")
    fit(run_in(tmp_path))
    first, second = (next(line for line in lines(tmp_path) if line["step"] == step) for step in (7, 10))
    *_, last = lines(tmp_path)
    assert [line["step"] for line in lines(tmp_path)] == [5, 7, 10, 12, 12]
    assert last["seconds"]["repeated"] > 0
    assert last["time"] - lines(tmp_path)[0]["time"] <= sum(last["seconds"].values())
    for line in (first, second, last):
        assert all(value >= 0 for value in line["seconds"].values())
        assert line["goodput"] == pytest.approx(goodput(line["seconds"]), abs=2e-3)
        assert line["elapsed_seconds"] == pytest.approx(
            sum(line["seconds"].values()) - line["seconds"]["stopped"], abs=0.01
        )
    assert second["seconds"]["repeated"] == pytest.approx(
        sum(first["seconds"].values()) - sum(lines(tmp_path)[0]["seconds"].values()), abs=0.01
    )
    assert sum("wall time" in message for message in caplog.messages) == 2


def test_utilization_is_that_of_the_speed(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    peak = Utilization(flops_per_image=1e6, peak_flops=1e12)
    fit(dataclasses.replace(run_in(tmp_path, dataclasses.replace(TRAINING, num_steps=5)), utilization=peak))
    line, end = lines(tmp_path)
    assert line["model_flops_utilization"] == pytest.approx(peak.at(line["images_per_second"]), abs=1e-4)
    # No step was made since that line.
    assert (end["images_per_second"], end["model_flops_utilization"]) == (None, None)
    assert any("images/s (MFU 0 %)" in message for message in caplog.messages)
