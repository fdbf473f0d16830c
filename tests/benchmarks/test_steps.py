"""The steps that benchmarks take: of a preset, or of a config with its own task."""

import argparse
from pathlib import Path

import jax
import numpy as np
import pytest

from benchmarks import overhead, steps
from gauss_vit import experiment as experiments
from gauss_vit.position.terms.gaussian import Gaussian

PETS, SHAPES = (
    str(Path(__file__).parents[2] / "configs" / name) for name in ("pets_segmentation.py", "drawn_shapes.py:")
)


def test_a_config_keeps_all_but_its_sizes_and_its_weights():
    shown, own = steps.recipe_of(PETS, batch_size=2, image_size=64), experiments.load(PETS)
    assert (shown.training.batch_size, shown.training.eval_batch_size, shown.model.image_size) == (2, 2, (64, 64))
    assert (shown.task, shown.data, shown.optimizer, shown.start) == (own.task, own.data, own.optimizer, None)
    assert steps.recipe_of(PETS, batch_size=None, image_size=None) == own


def test_noise_has_the_targets_of_the_task():
    batch = steps.noise(steps.recipe_of(PETS, batch_size=2, image_size=64))
    assert batch.image.shape == (2, 64, 64, 3)
    values = batch.targets.mask.values
    assert values.shape == (2, 64, 64) and values.dtype == np.uint8 and set(np.unique(values)) == {0, 1, 2}


def test_noise_has_objects_inside_its_images():
    batch = steps.noise(steps.recipe_of(SHAPES, batch_size=2, image_size=64))
    boxes = batch.targets.boxes.yxyx
    assert boxes.shape == (2, 100, 4) and boxes.min() >= 0 and boxes.max() <= 64
    is_object = np.all(boxes[..., 2:] > boxes[..., :2], axis=-1)
    assert np.sum(is_object, axis=1).tolist() == [7, 7]
    assert np.all(batch.targets.masks[is_object] == 255) and not batch.targets.masks[~is_object].any()
    assert set(batch.targets.label[is_object].tolist()) <= {0, 1, 2}


def test_shapes_of_noise_are_those_of_noise():
    shown = steps.recipe_of(PETS, batch_size=2, image_size=64)
    shapes, batch = steps.noise_shapes(shown), steps.noise(shown)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), shapes) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), batch
    )


@pytest.mark.parametrize("config", [PETS, SHAPES])
def test_the_overhead_of_a_config_is_that_of_its_position_terms(config: str):
    options = argparse.Namespace(config=config, batch_size=2, image_size=None, depth=None, unrolled=False, terms=None)
    found = overhead.experiments(options, "float32")
    terms = {name: tuple(type(term) for term in each.model.position.terms) for name, each in found.items()}
    own = tuple(type(term) for term in experiments.load(config).model.position.terms)
    assert terms == {"Gaussian": own, "relative": tuple(kind for kind in own if kind is not Gaussian), "none": ()}
    assert len({(each.task, each.optimizer, each.training) for each in found.values()}) == 1


def test_each_chosen_term_takes_the_place_of_the_gaussian():
    options = argparse.Namespace(
        config=PETS, batch_size=8, image_size=None, depth=None, unrolled=False, terms="alibi,look_here"
    )
    found = overhead.experiments(options, "float32")
    names = {name: [term.name for term in each.model.position.terms] for name, each in found.items()}
    assert list(found) == ["Gaussian", "alibi", "look_here"]
    assert names["alibi"] == [name for name in names["Gaussian"] if name != "gaussian"] + ["alibi"]
    seconds = {name: [1.0, 1.0] for name in found}
    rows = overhead.compared("step", seconds, overhead.bars(options, is_cpu=True))
    assert [(row.what, row.at_most) for row in rows] == [
        ("step: alibi over Gaussian", 1.03),
        ("step: look_here over Gaussian", 1.03),
    ]
    operations, traffic = overhead.counts({name: found[name] for name in ("Gaussian", "alibi")})
    for counted in (operations, traffic):
        assert counted["alibi"][0] == pytest.approx(counted["Gaussian"][0], rel=0.01)
        assert counted["alibi"][0] > 0
    assert set(overhead.chosen("all")).isdisjoint({"gaussian", "relative", "relative_mlp"})
