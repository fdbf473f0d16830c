"""A run of `configs/drawn_shapes.py` learns four images by heart: boxes and masks come back at their places."""

import json
from pathlib import Path

import pytest

from gauss_vit.data.prepare import drawn_shapes
from tests import processes

FOUR_IMAGES = (
    "--config=configs/drawn_shapes.py",
    "--config.data.train_split=train[:4]",
    "--config.data.eval_split=train[:4]",
    "--config.data.train_transforms[1].crop_share=0",
    "--config.model.stochastic_depth=0",
    "--config.training.batch_size=4",
    "--config.training.eval_batch_size=4",
    "--config.training.num_steps=450",
    "--config.training.checkpoint_every=450",
    "--config.evaluators[0].every=None",
)
LIMIT_SECONDS = 3600
"""For what takes two minutes on two cores of its own, and twenty on busy ones."""


@pytest.mark.full
def test_four_images_are_learned_by_heart(tmp_path: Path):
    folder, workdir = tmp_path / drawn_shapes.NAME, tmp_path / "W"
    # The first images that `data prepare` draws.
    drawn_shapes.write(folder, seed=0, num_images={"train": 4, "val": 2})
    command = [*FOUR_IMAGES, f"--config.data.data_dir={folder}", f"--workdir={workdir}"]
    (ended,) = processes.run(command, tmp_path / "said", count=1, devices=1, limit=LIMIT_SECONDS)
    assert ended.status == 0, ended.err[-2000:]
    measured = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()][-1]
    assert (measured["split"], measured["step"], measured["num_examples"]) == ("eval", 450, 4)
    assert measured["bbox_AP"] > 0.9
    assert measured["segm_AP"] > 0.8
    assert measured["bbox_AP50"] == pytest.approx(1)
