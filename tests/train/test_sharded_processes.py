"""Two processes of four devices each train like one process of eight, however the mesh lies across them."""

import json
from pathlib import Path

import pytest

from tests import processes, tiny_config

STEPS = (
    "--config.training.num_steps=20",
    "--config.training.checkpoint_every=20",
    "--config.training.log_every=5",
    "--config.model.num_heads=8",
    "--config.mesh.whole_below=0",
)


def numbers(workdir: Path, split: str, name: str) -> list[float]:
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [line[name] for line in lines if line["split"] == split]


@pytest.mark.full
@pytest.mark.parametrize(
    "axes",
    [{"data": 4, "tensor": 2}],
    ids=lambda axes: ",".join(f"{name}={size}" for name, size in axes.items()),
)
def test_two_processes_have_the_losses_of_one(axes: dict[str, int], tmp_path: Path, data_flag: str):
    flags = (tiny_config.FLAG, data_flag, *STEPS, *(f"--config.mesh.{name}={size}" for name, size in axes.items()))
    for count in (1, 2):
        ended = processes.run(
            [*flags, f"--workdir={tmp_path}/{count}"], tmp_path / f"said_{count}", count=count, devices=8
        )
        assert [process.status for process in ended] == [0] * count, ended[-1].err[-2000:]
    assert len(numbers(tmp_path / "1", "train", "loss")) == 4
    for split in ("train", "eval"):
        one, two = (numbers(tmp_path / name, split, "loss") for name in "12")
        assert two == pytest.approx(one, rel=0, abs=1e-5)
        assert numbers(tmp_path / "2", split, "top1") == numbers(tmp_path / "1", split, "top1")
