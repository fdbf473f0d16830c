"""What a step asks of all arrays at once."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gauss_vit.train.finite import first_not_finite, floating, global_norm

TREE = {
    "a": jnp.ones((3, 2)),
    "b": jnp.full((4,), -2.0),
    "c": jnp.full((3, 2), 0.5),
    "d": jnp.full((), 3.0, jnp.bfloat16),
}


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("name", "place"), [("a", 0), ("b", 1), ("c", 2), ("d", 3)])
def test_the_place_of_an_array_that_is_not_finite(name, place, bad):
    leaf = TREE[name]
    worse = leaf.at[(-1,) * leaf.ndim].set(bad)
    assert first_not_finite({**TREE, name: worse}) == place


def test_the_first_of_several():
    tree = {**TREE, "b": TREE["b"].at[0].set(jnp.nan), "c": TREE["c"].at[0, 0].set(jnp.inf)}
    assert first_not_finite(tree) == 1


def test_no_such_array():
    assert first_not_finite(TREE) == len(TREE)


def test_large_numbers_are_finite():
    assert first_not_finite({"a": jnp.full(3, 3e38), "b": jnp.full(3, -3e38)}) == 2


def test_the_norm_of_all():
    wide = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), TREE)
    assert global_norm(TREE).item() == pytest.approx(optax.tree.norm(wide).item(), rel=1e-6)
    assert global_norm(TREE).dtype == jnp.float32


def test_integers_are_left_out():
    assert jax.tree.leaves(floating({"count": jnp.int32(3), "value": jnp.float32(1)})) == [1.0]


def test_arrays_of_one_shape_share_a_pass():
    same = {str(index): jnp.ones((5, 7)) for index in range(6)}
    text = jax.jit(first_not_finite).lower(same).as_text()
    assert text.count("stablehlo.reduce") <= 2 * 2, "one over the group and one over the groups"


def test_what_holds_no_number_is_finite():
    assert first_not_finite({"a": jnp.ones((0, 3)), "b": jnp.ones(2)}) == 2
    assert first_not_finite({}) == 0
    assert global_norm({}).item() == 0.0


@pytest.mark.parametrize("num", [12, 40])
def test_programs_that_read_the_place_do_not_compute_it_again(num):
    tree = {str(index): jnp.ones(index + 1) for index in range(num)}

    def guarded(tree):
        is_finite = first_not_finite(tree) == num
        return jax.tree.map(lambda leaf: jnp.where(is_finite, leaf + 1, leaf), tree)

    # One an array, in the loop of its reduction, and those of the sort; not `num` squared and more.
    assert jax.jit(guarded).lower(tree).compile().as_text().count(" minimum(") <= 4 * num
