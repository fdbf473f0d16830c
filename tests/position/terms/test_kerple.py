"""KERPLE's kernels in closed form, and their positive definiteness on a grid."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.ops.offsets import euclidean
from gauss_vit.position import Alibi, Kerple, expand
from tests.position.terms.cases import GRID, drawn

LOGARITHM, POWER = Kerple(), Kerple(kernel="power")


def arrays(**values):
    return {name: jnp.asarray(value, jnp.float32) for name, value in values.items()}


def test_the_logarithm_is_the_papers_equation():
    table = LOGARITHM.table(arrays(scale=[1.5, 0.5], rate=[0.25, 1.0]), (4, 5))
    np.testing.assert_allclose(table[0], -1.5 * np.log(1 + 0.25 * euclidean((4, 5))), rtol=1e-6)
    # At 3 rows and 4 columns the distance is 5.
    np.testing.assert_allclose(table[:, 0, 0], [-1.5 * np.log(2.25), -0.5 * np.log(6)], rtol=1e-6)


@pytest.mark.parametrize(("logit", "power"), [(0.0, 1.0), (np.log(1 / 3), 0.5), (np.log(3), 1.5)])
def test_the_power_is_the_papers_equation(logit, power):
    table = POWER.table(arrays(scale=[0.5], power_logit=[logit]), (4, 5))
    np.testing.assert_allclose(table[0], -0.5 * euclidean((4, 5)) ** power, rtol=1e-5)
    assert table[0, 3, 4] == 0


def test_a_power_of_one_is_alibi():
    slope = drawn(Alibi())["slope"]
    table = POWER.table({"scale": slope, "power_logit": jnp.zeros_like(slope)}, GRID)
    np.testing.assert_allclose(table, Alibi().table({"slope": slope}, GRID), rtol=1e-5)


@pytest.mark.parametrize("term", [LOGARITHM, POWER], ids=["logarithm", "power"])
def test_kernels_are_conditionally_positive_definite(term):
    bias = np.asarray(expand(term.table(drawn(term, num_heads=6), (3, 4)), (3, 4)), np.float64)
    centred = np.eye(12) - 1 / 12
    for head in bias:
        # Twelve float32 numbers of about 10 are summed in each entry.
        assert np.linalg.eigvalsh(centred @ head @ centred).min() > -1e-4


@pytest.mark.parametrize(
    ("term", "names", "most"),
    [(LOGARITHM, ("scale", "rate"), (2, 1)), (POWER, ("power", "scale"), (2, 1))],
    ids=["logarithm", "power"],
)
def test_starts_are_uniform_up_to_the_papers_limits(term, names, most):
    stacked = jax.tree.map(lambda leaf: np.asarray(leaf)[None], drawn(term, num_heads=4000))
    numbers = term.numbers(stacked, GRID)
    for name, limit in zip(names, most, strict=True):
        values = numbers[name]
        assert values.min() >= 0.01 - 1e-6 and values.max() <= limit + 1e-5
        # The mean of 4,000 uniform numbers has a standard error of 0.0046 limits.
        assert values.mean() == pytest.approx(limit / 2, abs=0.02 * limit)


def test_heads_may_share_one_set():
    params = drawn(Kerple(per_head=False), num_heads=5)
    assert {leaf.shape for leaf in params.values()} == {(1,)}
