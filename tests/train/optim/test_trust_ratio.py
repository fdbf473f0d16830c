"""LAMB's trust ratio, array by array."""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from gauss_vit.train.optim.trust_ratio import scale_by_trust_ratio

RANDOM = np.random.default_rng(0)
PARAMS = {
    "blocks": {"kernel": jnp.asarray(RANDOM.normal(size=(3, 4, 5)), jnp.float32)},
    "head": {"kernel": jnp.asarray(RANDOM.normal(size=(4, 5)), jnp.float32)},
}
UPDATES = jax.tree.map(lambda leaf: 3 * leaf[..., ::-1] + 1, PARAMS)


def scaled(updates: dict, params: dict) -> dict:
    transform = scale_by_trust_ratio(params)
    return transform.update(updates, transform.init(params), params)[0]


def test_every_update_has_the_norm_of_its_parameters():
    result = scaled(UPDATES, PARAMS)
    norms = [np.linalg.norm(leaf) for leaf in (result["head"]["kernel"], PARAMS["head"]["kernel"])]
    np.testing.assert_allclose(norms[0], norms[1], rtol=1e-6)


def test_every_block_of_a_stack_has_a_ratio_of_its_own():
    result = scaled(UPDATES, PARAMS)["blocks"]["kernel"]
    for index in range(3):
        expected = np.linalg.norm(PARAMS["blocks"]["kernel"][index])
        np.testing.assert_allclose(np.linalg.norm(result[index]), expected, rtol=1e-6)


def test_direction_is_kept():
    result = scaled(UPDATES, PARAMS)
    ratio = np.asarray(result["head"]["kernel"] / UPDATES["head"]["kernel"])
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-5)


def test_ratio_is_one_where_a_norm_is_zero():
    zeros = jax.tree.map(jnp.zeros_like, PARAMS)
    chex.assert_trees_all_equal(scaled(UPDATES, zeros), UPDATES)
    chex.assert_trees_all_equal(scaled(zeros, PARAMS), zeros)
