"""LookHere against the angles of its fields of view, and the slopes of the paper's code."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.position import LookHere, expand
from gauss_vit.position.term import MASKED
from gauss_vit.position.terms.look_here import views
from tests.position.terms.cases import drawn

UP, DOWN, LEFT, RIGHT = 90, 270, 180, 0
# Degrees counterclockwise from right, in the order of the heads of the paper's code.
DIRECTIONS = {
    180: (UP, DOWN, LEFT, RIGHT, 45, 135, 315, 225),
    90: (135, 45, 225, 315, UP, DOWN, LEFT, RIGHT),
    45: (112.5, 247.5, 157.5, 22.5, 67.5, 292.5, 202.5, 337.5),
}


@pytest.mark.parametrize("field_of_view", [180, 90, 45])
@pytest.mark.parametrize("grid", [(4, 4), (3, 5)])
def test_eight_of_twelve_heads_look_in_eight_directions(field_of_view, grid):
    seen = views(12, grid, field_of_view=field_of_view)
    assert seen[8:].all()
    for head, direction in enumerate(DIRECTIONS[field_of_view]):
        for dy in range(1 - grid[0], grid[0]):
            for dx in range(1 - grid[1], grid[1]):
                # The offset is query minus key, and y grows downwards.
                angle = np.degrees(np.arctan2(dy, -dx))
                off_axis = abs((angle - direction + 180) % 360 - 180)
                expected = (dy, dx) == (0, 0) or off_axis <= field_of_view / 2 + 1e-6
                assert seen[head, dy + grid[0] - 1, dx + grid[1] - 1] == expected, (head, dy, dx)


def test_the_patches_that_the_first_heads_see():
    bias = np.asarray(expand(LookHere().table(drawn(LookHere(), num_heads=12), (3, 3)), (3, 3)))
    seen = (bias[:, 4] > MASKED / 2).reshape(12, 3, 3)  # The query is in the middle.
    assert seen[0].tolist() == [[True] * 3, [True] * 3, [False] * 3]
    assert seen[2].tolist() == [[True, True, False]] * 3
    assert seen[4].tolist() == [[True, True, True], [False, True, True], [False, False, True]]


def test_slopes_of_twelve_heads_are_those_of_the_papers_code():
    # global_slope 2; np.repeat(2^-1, 4) for halves and for diagonals; 1/4, 1/16, 1/64, 1/256 for `none`.
    heads = np.array([0.5] * 8 + [0.25, 0.0625, 0.015625, 0.00390625])
    slopes = np.stack([slope_at(place) for place in np.linspace(0, 1, 12)])
    np.testing.assert_allclose(slopes, 2 * np.linspace(1.5, 0.5, 12)[:, None] * heads, rtol=1e-6)


def slope_at(place, **options):
    term = LookHere(**options)
    return term.at_layer(drawn(term, num_heads=12), jnp.float32(place))["slope"]


def test_layers_that_share_the_term_have_the_slopes_of_the_middle():
    np.testing.assert_allclose(drawn(LookHere(), num_heads=12)["slope"], slope_at(0.5), rtol=1e-6)


@pytest.mark.parametrize(
    ("num_heads", "directed", "slopes"),
    [(1, 1, [0.5]), (3, 2, [0.5, 0.5, 0.25]), (6, 4, [0.5] * 4 + [0.25, 0.0625]), (16, 12, [0.5] * 8 + [0.25] * 5)],
)
def test_other_numbers_of_heads_have_directions_first(num_heads, directed, slopes):
    seen = views(num_heads, (3, 3), field_of_view=90)
    assert (~seen).any(axis=(1, 2)).tolist() == [True] * directed + [False] * (num_heads - directed)
    np.testing.assert_allclose(drawn(LookHere(), num_heads=num_heads)["slope"][: len(slopes)], 2 * np.array(slopes))


def test_seen_patches_lose_logits_with_their_distance():
    term = LookHere(field_of_view=90)
    table = np.asarray(term.table(drawn(term, num_heads=12), (4, 5)))
    # Keys three rows up and four columns left of the query, where the first head looks.
    assert table[0, -1, -1] == pytest.approx(-5.0)
    assert table[0, 0, 0] == MASKED


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_masked_patches_get_a_weight_of_zero_in_any_dtype(dtype):
    term = LookHere(field_of_view=45)
    bias = expand(term.table(drawn(term, num_heads=12), (3, 4)), (3, 4)).astype(dtype)
    # The sum of three masks is finite, too.
    for logits in (bias, bias + bias + bias):
        weights = jax.nn.softmax(logits, axis=-1)
        assert bool(jnp.isfinite(weights).all())
        np.testing.assert_array_equal(weights > 0, bias > MASKED / 2)


def test_a_slope_of_zero_has_no_mask_either():
    assert not np.any(LookHere().table({"slope": jnp.zeros((12,), jnp.float32)}, (3, 3)))


@pytest.mark.parametrize("wrong", [{"global_slope": 0.0}, {"last_layer": -0.5}])
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        LookHere(**wrong)
