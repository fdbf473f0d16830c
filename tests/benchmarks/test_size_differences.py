"""Numbers of two arms at several image sizes, and their differences within seeds."""

import json
from pathlib import Path

import pytest

from benchmarks import size_differences
from benchmarks.prior_fields import runs_of


def write_run(study: Path, fields: Path, *, arm: str, seed: int, top1: float) -> None:
    """Leaves what a run, its evaluation and the measurement of its field leave, at 48 and 64 pixels."""
    run, field = study / arm / f"seed_{seed}", fields / arm / f"seed_{seed}"
    run.mkdir(parents=True)
    field.mkdir(parents=True)
    (run / "evaluation.json").write_text("{}")
    sizes = [{"image_size": [side, side], "top1": top1 * side} for side in (48, 64)]
    (run / "resolutions.json").write_text(json.dumps({"resolutions": sizes}))
    shares = [{"image_size": [side, side], "half_mass_radius_share": 12 / side} for side in (48, 64)]
    (field / f"seed_{seed}_sizes.json").write_text(json.dumps({"sizes": shares}))


def test_differences_are_taken_within_seeds_at_every_size(tmp_path: Path):
    study, fields = tmp_path / "study", tmp_path / "fields"
    for arm, top1 in (("patch", (0.002, 0.004)), ("image", (0.003, 0.005))):
        for seed, value in enumerate(top1):
            write_run(study, fields, arm=arm, seed=seed, top1=value)
    runs = runs_of(study)
    arms = {arm: size_differences.values_of(runs[arm], fields / arm) for arm in ("patch", "image")}
    rows = size_differences.summed_up(arms)
    found = {(row["number"], row["image_size"], row["arm"]): row for row in rows}
    assert len(found) == 8
    row = found["top1", 64, "image"]
    assert row["mean"]["mean"] == pytest.approx(64 * 0.004)
    assert row["difference"]["mean"] == pytest.approx(64 * 0.001)
    assert row["difference"]["deviation"] == pytest.approx(0, abs=1e-12)
    assert found["top1", 64, "patch"]["difference"] is None
    assert found["half_mass_radius_share", 48, "patch"]["mean"]["mean"] == 0.25


def test_differences_are_of_the_seeds_and_sizes_that_both_arms_have():
    patch = {("top1", 64): {0: 0.5, 2: 0.25}}
    image = {("top1", 64): {0: 0.75, 1: 0.5}, ("top1", 80): {0: 0.5}}
    rows = size_differences.summed_up({"patch": patch, "image": image})
    at_64, at_80 = [row["difference"] for row in rows if row["arm"] == "image"]
    assert (at_64["mean"], at_64["num"]) == (0.25, 1)
    assert at_80 is None


def test_field_that_was_not_measured_is_said_in_one_line(tmp_path: Path):
    with pytest.raises(SystemExit, match="must have one file"):
        size_differences.radii(tmp_path)
