"""Damaged images that a run goes on without: counted among its numbers, the same after a resume."""

import json
import shutil
from pathlib import Path

from gauss_vit import experiment as experiments
from gauss_vit import main as program
from gauss_vit.assembly import feeds
from gauss_vit.train.workdir.lock import CONFIG
from tests.data.sources.folder_samples import make_folder
from tests.tiny_config import FLAG as CONFIG_FLAG

DAMAGED = ("train/4/001.png", "train/7/000.png")


def trained(root: Path, workdir: Path) -> dict[int, dict]:
    """Trains four steps on a folder and gives the lines of training by step."""
    flags = ["name=folder", f"data_dir={root}", "eval_split=validation", "on_error=skip"]
    lengths = ["log_every=3", "observe_every=None"]
    arguments = [f"--config.data.{flag}" for flag in flags] + [f"--config.training.{flag}" for flag in lengths]
    assert program.main([CONFIG_FLAG, *arguments, f"--workdir={workdir}"]) == 0
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line for line in lines if line["split"] == "train"}


def test_skipped_images_are_counted_and_a_resume_within_an_interval_counts_the_same(tmp_path: Path):
    root = make_folder(tmp_path / "photos", {f"train/{index}": 2 for index in range(10)} | {"val/3": 1})
    for name in DAMAGED:
        (root / name).write_bytes(b"text")
    whole = trained(root, tmp_path / "whole")

    experiment = experiments.read(tmp_path / "whole" / CONFIG)
    source = feeds.open_split(experiment, "train")
    feed = feeds.feed(experiment, feeds.open_sources(experiment))
    empty = [int((~batch.is_real).sum()) for batch in feed.train(0)]
    assert len(source) == 20
    assert sum(empty) in (6, 7)  # 64 places are three passes over 20 images and a fifth of a fourth
    assert whole[3]["num_skipped"] == sum(empty[:3])
    assert whole[3]["num_examples"] == 48 - sum(empty[:3])
    assert whole[4] == {**whole[4], **({"num_skipped": empty[3]} if empty[3] else {}), "num_examples": 16 - empty[3]}

    stopped = shutil.copytree(tmp_path / "whole", tmp_path / "stopped")
    shutil.rmtree(stopped / "checkpoints" / "4")
    assert trained(root, stopped) == whole
