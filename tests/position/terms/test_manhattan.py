"""Manhattan decay against the powers of gamma by which RMT multiplies weights."""

import numpy as np
import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.position import Manhattan
from tests.position.terms.cases import drawn


def test_decays_of_four_heads_are_the_papers():
    gamma = np.exp(-np.asarray(drawn(Manhattan(), num_heads=4)["slope"]))
    np.testing.assert_allclose(gamma, [1 - 1 / 4, 1 - 1 / 8, 1 - 1 / 16, 1 - 1 / 32], rtol=1e-6)
    gamma = np.exp(-np.asarray(drawn(Manhattan(span=6.0), num_heads=8)["slope"]))
    np.testing.assert_allclose(gamma, 1 - 2 ** -(2 + 0.75 * np.arange(8)), rtol=1e-6)


def test_weights_decay_by_gamma_for_every_step_along_rows_or_columns():
    term, grid = Manhattan(), (3, 4)
    table = np.asarray(term.table(drawn(term, num_heads=2), grid))
    for head, gamma in enumerate((3 / 4, 15 / 16)):
        for dy in range(-2, 3):
            for dx in range(-3, 4):
                assert np.exp(table[head, dy + 2, dx + 3]) == pytest.approx(gamma ** (abs(dy) + abs(dx)))


def test_the_logged_gamma_is_that_of_the_equation():
    numbers = Manhattan().numbers({"slope": np.log([[2.0, 4.0]])}, (3, 3))
    np.testing.assert_allclose(numbers["gamma"], [[0.5, 0.25]])


def test_heads_may_share_the_mean_slope():
    shared, own = (drawn(Manhattan(per_head=per_head), num_heads=4)["slope"] for per_head in (False, True))
    np.testing.assert_allclose(shared, [np.prod(own) ** 0.25], rtol=1e-6)


@pytest.mark.parametrize("wrong", [{"first": 0.0}, {"span": -2.0}, {"first": float("nan")}, {"first": 200.0}])
def test_exponents_without_a_decay_are_refused(wrong):
    with pytest.raises(ConfigError, match="exponents must be positive"):
        Manhattan(**wrong)
