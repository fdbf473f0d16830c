"""`train` and `evaluate` of a segmentation, from files to tables."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gauss_vit import main as program
from gauss_vit.batches import IGNORED
from tests.drawing import undrawn
from tests.shapes_config import make_shapes
from tests.tasks.shapes import CLASSES

CONFIG = "--config=tests/shapes_config.py"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished run, and the flag of its data."""
    folder = make_shapes(tmp_path_factory.mktemp("data"))
    workdir, data = tmp_path_factory.mktemp("shapes"), f"--config.data.data_dir={folder}"
    assert program.main([CONFIG, data, f"--workdir={workdir}"]) == 0
    return workdir, data


@pytest.fixture(scope="module")
def result(trained: tuple[Path, str]) -> dict:
    """What `evaluate` wrote."""
    workdir, data = trained
    with undrawn():
        assert program.main(["evaluate", CONFIG, data, f"--workdir={workdir}"]) == 0
    return json.loads((workdir / "evaluation.json").read_text())


def test_result_is_what_the_run_measured(trained: tuple[Path, str], result: dict):
    lines = [json.loads(line) for line in (trained[0] / "metrics.jsonl").read_text().splitlines()]
    last = [line for line in lines if line["split"] == "eval"][-1]
    for name in ("miou", "macc", "aacc", "num_absent_classes", "num_pixels", "num_examples"):
        assert result[name] == last[name]
    assert result["miou"] > 0.5


def test_every_labelled_pixel_of_the_files_is_counted(trained: tuple[Path, str], result: dict):
    folder = Path(trained[1].partition("=")[2])
    masks = [np.asarray(Image.open(path)) for path in sorted((folder / "masks" / "val").iterdir())]
    labels = np.concatenate([mask[mask != IGNORED] for mask in masks])
    assert (result["num_pixels"], result["num_examples"]) == (len(labels), 5)
    rows = list(csv.DictReader((trained[0] / "classes.csv").read_text().splitlines()))
    assert [row["class"] for row in rows] == list(CLASSES)
    assert [int(row["num_pixels"]) for row in rows] == np.bincount(labels, minlength=4).tolist()
    assert result["miou"] == pytest.approx(np.mean([float(row["iou"]) for row in rows if row["iou"]]), abs=1e-6)


def test_batch_size_changes_no_count(trained: tuple[Path, str], result: dict, capsys: pytest.CaptureFixture[str]):
    workdir, data = trained
    flags = [CONFIG, data, "--config.training.eval_batch_size=5", f"--workdir={workdir}"]
    with undrawn():
        assert program.main(["evaluate", *flags]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["loss"] == pytest.approx(result["loss"], rel=1e-6)
    assert {**found, "loss": result["loss"]} == result


def test_checkpoint_that_was_best_is_linked_and_evaluated(
    trained: tuple[Path, str], capsys: pytest.CaptureFixture[str]
):
    workdir, data = trained
    with undrawn():
        assert program.main(["evaluate", CONFIG, data, f"--workdir={workdir}", "--best"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["step"] == int((workdir / "checkpoints" / "best").readlink().name)
