"""How far the models of a study look: which runs there are, in which conditions, and what is said of them."""

from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from benchmarks import prior_fields
from gauss_vit.train.program import fresh_state, make_program
from tests import tiny_config
from tests.named_models import named_of

NUMBERS = {"half_mass_radius": 10.0, "attention_distance": 20.0}


def found_of(*radii: float) -> dict:
    """Runs of one arm whose radius after training is 10 less than at the start."""
    return {
        seed: {"start": NUMBERS | {"half_mass_radius": radius}, "trained": NUMBERS | {"half_mass_radius": radius - 10}}
        for seed, radius in enumerate(radii)
    }


def test_finished_runs_are_found_by_arm_and_seed(tmp_path: Path):
    for run in ("none/seed_0", "none/seed_3", "gauss/seed_0"):
        (tmp_path / run).mkdir(parents=True)
        (tmp_path / run / "evaluation.json").write_text("{}")
    (tmp_path / "gauss" / "seed_3").mkdir()
    (tmp_path / "gauss" / "seed_3" / "config.json").write_text("{}")
    (tmp_path / "study").mkdir()
    found = prior_fields.runs_of(tmp_path)
    assert {arm: sorted(runs) for arm, runs in found.items()} == {"none": [0, 3], "gauss": [0]}
    assert found["none"][3] == tmp_path / "none" / "seed_3"


def test_seeds_are_in_the_order_of_their_numbers(tmp_path: Path):
    for seed in (10, 2, 0):
        (tmp_path / "none" / f"seed_{seed}").mkdir(parents=True)
        (tmp_path / "none" / f"seed_{seed}" / "evaluation.json").write_text("{}")
    assert list(prior_fields.runs_of(tmp_path)["none"]) == [0, 2, 10]


def test_run_is_measured_again_for_other_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder, out = tmp_path / "none" / "seed_0", tmp_path / "out"
    folder.mkdir(parents=True)
    for name in ("config.json", "evaluation.json", "a.png", "b.png"):
        (folder / name).write_text("{}")
    measured = []
    monkeypatch.setattr(prior_fields, "trained", lambda folder: None)
    monkeypatch.setattr(prior_fields, "conditions_of", lambda named, seed: {"trained": named})
    monkeypatch.setattr(prior_fields, "measured", lambda named, images: measured.append(images) or NUMBERS)
    both = [folder / "a.png", folder / "b.png"]
    for images in (both, both, both[:1]):
        assert prior_fields.of_run(folder, images, seed=0, out=out) == {"trained": NUMBERS}
    assert measured == [both, both[:1]]


def test_start_is_what_the_seed_of_the_run_drew():
    experiment = tiny_config.get_config()
    drawn = fresh_state(experiment, make_program(experiment)).params
    conditions = prior_fields.conditions_of(named_of(), seed=experiment.seed)
    jax.tree.map(np.testing.assert_array_equal, conditions["start"].params, jax.device_get(drawn))


def test_conditions_are_those_that_change_something():
    conditions = prior_fields.conditions_of(named_of(), seed=0)
    assert list(conditions) == ["start", "trained", "reinit", "zero", "without_gaussian"]
    assert [named.step for named in conditions.values()] == [0, 5, 5, 5, 5]
    assert not conditions["without_gaussian"].config.has_position_bias


def test_model_looks_no_farther_than_its_image(tmp_path: Path):
    for index in range(2):
        pixels = np.random.default_rng(index).integers(0, 256, (16, 32, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    found = prior_fields.measured(named_of(), sorted(tmp_path.glob("*.png")))
    assert set(found) == set(prior_fields.NUMBERS)
    assert all(0 < value < np.hypot(16, 32) for value in found.values())


def test_changes_are_taken_within_seeds():
    summary = prior_fields.summed_up({"none": found_of(30.0, 50.0)})
    first = summary[0]
    assert (first["condition"], first["number"], first["seeds"]) == ("start", "half_mass_radius", [0, 1])
    assert first["mean"]["mean"] == 40.0
    assert (first["change"]["mean"], first["change"]["deviation"]) == (10.0, 0.0)
    assert [row["change"] is None for row in summary] == [False, False, True, True]


@pytest.mark.parametrize("num_arms", [1, 5])
def test_figure_has_a_panel_for_each_arm(num_arms: int):
    found = {f"arm_{index}": found_of(30.0, 50.0) for index in range(num_arms)}
    panels = [axes for axes in prior_fields.fields_figure(found, num_images=2).axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in panels] == list(found)
