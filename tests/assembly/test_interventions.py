"""Models whose position information was changed carry that in their names."""

import dataclasses

import jax
import numpy as np
import pytest
from flax import nnx

from gauss_vit.assembly.named_model import intervened
from gauss_vit.errors import ConfigError
from gauss_vit.position.position import Position
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.position.terms.relative import RelativeTable
from tests.named_models import named_of
from tests.tiny_config import MODEL

CONFIG = dataclasses.replace(
    MODEL,
    position=Position(
        terms=(
            RelativeTable(),
            Gaussian(sigma=1.0),
        )
    ),
)


@pytest.fixture(scope="module")
def named():
    return named_of(CONFIG)


def test_none_gives_the_model_itself(named):
    assert intervened(named, "none", seed=3) is named


@pytest.mark.parametrize(
    ("name", "seed", "expected"),
    [
        ("zero", 3, ("tiny_zero", "zero", None)),
        ("reinit", 0, ("tiny_reinit", "reinit", 0)),
        ("paper_code", 3, ("tiny_paper_code_seed-3", "paper_code", 3)),
    ],
)
def test_name_and_seed_say_what_was_done(named, name, seed, expected):
    changed = intervened(named, name, seed=seed)
    assert (changed.name, changed.intervention, changed.intervention_seed) == expected
    assert (changed.step, changed.transform) == (named.step, named.transform)


def test_the_same_seed_draws_the_same_and_another_one_does_not(named):
    tables = [
        np.asarray(
            intervened(named, "reinit", seed=seed).params["backbone"]["blocks"]["attention"]["bias"]["relative"][
                "table"
            ]
        )
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(tables[0], tables[1])
    assert np.abs(tables[0] - tables[2]).min() > 0


def test_the_structure_follows_the_config(named):
    changed = intervened(named, "without_gaussian", seed=0)
    assert not any(isinstance(term, Gaussian) for term in changed.config.position.terms)
    images = jax.numpy.zeros((1, *CONFIG.image_size, 3), np.float32)
    assert nnx.merge(changed.graph, changed.params)(images).shape == (1, 10)


def test_a_model_without_that_information_is_refused(named):
    bare = intervened(named, "without_gaussian", seed=0)
    with pytest.raises(ConfigError, match="without_gaussian could change"):
        intervened(bare, "without_gaussian", seed=0)
