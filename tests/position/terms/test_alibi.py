"""ALiBi against the paper's slopes and the distance in closed form."""

import numpy as np
import pytest

from gauss_vit.position import Alibi
from tests.position.terms.cases import drawn


def test_slopes_of_eight_and_twelve_heads_are_the_papers():
    np.testing.assert_array_equal(drawn(Alibi(), num_heads=8)["slope"], [2.0**-power for power in range(1, 9)])
    # Twelve heads: those of eight, then the first four of every second one of sixteen, from 2^-0.5 on.
    interleaved = [2.0**-power for power in (0.5, 1.5, 2.5, 3.5)]
    np.testing.assert_allclose(drawn(Alibi(), num_heads=12)["slope"][8:], interleaved, rtol=1e-6)
    np.testing.assert_array_equal(drawn(Alibi(), num_heads=12)["slope"][:8], drawn(Alibi(), num_heads=8)["slope"])


@pytest.mark.parametrize(("num_heads", "slope"), [(1, 2.0**-8), (2, 2.0**-6), (8, 2.0**-4.5)])
def test_heads_may_share_the_mean_slope(num_heads, slope):
    np.testing.assert_allclose(drawn(Alibi(per_head=False), num_heads=num_heads)["slope"], [slope], rtol=1e-6)


def test_logits_fall_linearly_with_the_distance():
    term, grid = Alibi(), (4, 5)
    table = np.asarray(term.table(drawn(term, num_heads=2), grid))
    for head, slope in enumerate((2.0**-4, 2.0**-8)):
        assert table[head, 3, 4] == 0
        assert table[head, 0, 0] == pytest.approx(-5 * slope)
        np.testing.assert_allclose(table[head, 3, 4:], -slope * np.arange(5))
