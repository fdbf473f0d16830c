"""Curves of several runs are those of their logs."""

import json
from pathlib import Path

import pytest

from gauss_vit.errors import ConfigError, DataError
from gauss_vit.inspect.metric_curves import charts_of, write_curves


def run(folder: Path, *values: float | None, split: str = "eval") -> Path:
    """A run that has measured precision every ten steps, and logged its loss."""
    folder.mkdir(parents=True)
    lines = [{"step": 5, "split": "train", "loss": 2.0}]
    lines += [{"step": 10 * at, "split": split, "segm_AP": value} for at, value in enumerate(values, start=1)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder


def test_runs_are_curves_by_their_folders(tmp_path: Path):
    workdirs = run(tmp_path / "a", 0.1, 0.25), run(tmp_path / "b", None, 0.3, 0.2)
    charts = charts_of(workdirs, ["eval/segm_AP", "train/loss"])
    assert [(chart.name, chart.title, chart.unit) for chart in charts] == [
        ("eval/segm_AP", "Mask AP (eval)", "%"),
        ("train/loss", "Loss (train)", ""),
    ]
    found = {curve.name: (curve.steps, curve.values) for curve in charts[0].curves}
    assert found == {"a": ((10, 20), (10.0, 25.0)), "b": ((10, 20, 30), (None, 30.0, 20.0))}
    assert [curve.values for curve in charts[1].curves] == [(2.0,), (2.0,)]


def test_a_run_without_the_metric_has_no_curve(tmp_path: Path):
    workdirs = run(tmp_path / "a", 0.1), run(tmp_path / "b", 0.2, split="other")
    (chart,) = charts_of(workdirs, ["eval/segm_AP"])
    assert [curve.name for curve in chart.curves] == ["a"]


def test_folders_of_one_name_are_told_apart(tmp_path: Path):
    workdirs = run(tmp_path / "one" / "W", 0.1), run(tmp_path / "two" / "W", 0.2)
    (chart,) = charts_of(workdirs, ["eval/segm_AP"])
    assert [curve.name for curve in chart.curves] == [str(workdir) for workdir in workdirs]


def test_values_are_written_with_the_figure(tmp_path: Path):
    run(tmp_path / "a", 0.1, 0.4, 0.25)
    said = write_curves(tmp_path / "out", [tmp_path / "a"], ["eval/segm_AP"], formats=("png",))
    assert said == (
        "Mask AP (eval), a: 25 % at step 30, highest 40 % at step 20",
        f"{tmp_path}/out.json .png: 1 metrics of 1 runs",
    )
    (metric,) = json.loads((tmp_path / "out.json").read_text())["metrics"]
    assert metric == {
        "name": "eval/segm_AP",
        "unit": "%",
        "runs": [{"run": "a", "steps": [10, 20, 30], "values": [10.0, 40.0, 25.0]}],
    }
    assert (tmp_path / "out.png").stat().st_size > 0


def test_what_is_not_there_is_named(tmp_path: Path):
    workdir = run(tmp_path / "a", 0.1)
    with pytest.raises(ConfigError, match="none of 1 runs has logged eval/segm_A") as refused:
        charts_of([workdir], ["eval/segm_A"])
    assert refused.value.do == "did you mean eval/segm_AP?"
    with pytest.raises(ConfigError) as refused:
        charts_of([workdir], ["accuracy"])
    assert refused.value.do == "known: eval/segm_AP, train/loss"
    with pytest.raises(DataError, match=r"has no metrics\.jsonl"):
        charts_of([tmp_path], ["eval/segm_AP"])
    with pytest.raises(ConfigError, match="takes 1 to 8 workdirs and got 0"):
        write_curves(tmp_path / "out", [], ["eval/segm_AP"])
