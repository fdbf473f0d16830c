"""The curves of a report are those that a run has logged."""

import json
from pathlib import Path

from gauss_vit.inspect.report.curves import MOST_POINTS, curves_of


def write(workdir: Path, lines: list[dict]) -> None:
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (workdir / "metrics.jsonl").write_text(text, encoding="utf-8")


def test_metrics_are_charts_and_splits_are_curves(tmp_path: Path):
    write(
        tmp_path,
        [
            {"step": 5, "split": "train", "loss": 2.0, "top1": 0.25, "num_examples": 8, "learning_rate": 0.1},
            {"step": 10, "split": "train", "loss": None, "top1": 0.5, "num_examples": 8, "learning_rate": 0.05},
            {"step": 10, "split": "eval", "loss": 1.5, "top1": 0.75, "top5": 1.0, "num_examples": 4, "mean_iou": 0.5},
            {"step": 10, "split": "observe", "erf/half_mass_radius": 8.5, "erf/sigma_x": 1.0},
        ],
    )
    charts = {chart.title: chart for chart in curves_of(tmp_path)}
    assert list(charts) == ["Loss", "Accuracy", "Mean iou", "Receptive field", "Learning rate"]
    loss = {curve.name: (curve.steps, curve.values) for curve in charts["Loss"].curves}
    assert loss == {"train": ((5, 10), (2.0, None)), "eval": ((10,), (1.5,))}
    accuracy = {curve.name: curve.values for curve in charts["Accuracy"].curves}
    assert (charts["Accuracy"].unit, accuracy) == ("%", {"train": (25.0, 50.0), "eval": (75.0,)})
    assert charts["Receptive field"].name == "erf_half_mass_radius"


def test_measures_of_a_segmentation_are_named_in_percent(tmp_path: Path):
    write(tmp_path, [{"step": 5, "split": "eval", "loss": 1.5, "miou": 0.4464, "macc": None, "aacc": 0.8}])
    charts = [(chart.title, chart.unit, chart.curves[0].values) for chart in curves_of(tmp_path)]
    assert charts[1] == ("Mean IoU", "%", (44.64,))
    assert charts[2:] == [("Mean accuracy of classes", "%", (None,)), ("Accuracy of pixels", "%", (80.0,))]


def test_precision_of_a_detector_is_charted_without_the_numbers_by_size(tmp_path: Path):
    numbers = {"bbox_AP": 0.5, "bbox_AP_small": 0.25, "bbox_AR_100": 0.75, "segm_AP50": 0.625, "num_detections": 7}
    write(tmp_path, [{"step": 5, "split": "eval", **numbers}])
    charts = [(chart.title, chart.unit, chart.curves[0].values) for chart in curves_of(tmp_path)]
    assert charts == [("Box AP", "%", (50.0,)), ("Mask AP50", "%", (62.5,))]


def test_long_runs_keep_few_points_and_the_last(tmp_path: Path):
    write(tmp_path, [{"step": step, "split": "train", "loss": 1.0} for step in range(1, 1002)])
    (chart,) = curves_of(tmp_path)
    (curve,) = chart.curves
    assert len(curve.steps) <= MOST_POINTS
    assert curve.steps[-1] == 1001
    assert len({b - a for a, b in zip(curve.steps, curve.steps[1:], strict=False)}) == 1


def test_run_without_metrics_has_no_curves(tmp_path: Path):
    assert curves_of(tmp_path) == ()
