"""Every term in a model: it acts in every block, and training moves its parameters."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gauss_vit.models.construct import abstract
from gauss_vit.models.swin import SwinConfig
from gauss_vit.position import LookHere, Position
from gauss_vit.train.bias_effect import measure_effects, require_effect
from gauss_vit.tree import flatten_paths
from gauss_vit.weights.intervention import intervene
from tests.models.built import build
from tests.models.test_vit import PLAIN, images_for
from tests.position.terms.cases import CASES, DEFAULTS
from tests.weights.hugging_face_models import SWIN

KEY = jax.random.key(0)
BARE = dataclasses.replace(PLAIN, depth=2, num_heads=4, start="fan_in_uniform", position=Position())
TOGETHER = dataclasses.replace(BARE, position=Position(terms=tuple(DEFAULTS.values())))
ALONE = [
    pytest.param(dataclasses.replace(BARE, position=Position(terms=(value,))), id=name, marks=pytest.mark.full)
    for name, value in CASES.items()
]
MODELS = [pytest.param(TOGETHER, id="all terms together"), *ALONE]


def params_of(config):
    return nnx.to_pure_dict(nnx.state(build(config, KEY)))


@pytest.mark.parametrize("config", MODELS)
def test_every_term_acts_in_every_block_from_the_start(config):
    effects = measure_effects(abstract(config)[0], params_of(config), images_for(config))
    expected = {(value.name, layer) for value in config.position.terms for layer in range(config.depth)}
    assert {(effect.term, effect.layer) for effect in effects} == expected
    require_effect(effects)


@pytest.mark.parametrize("config", MODELS)
def test_a_short_training_moves_every_parameter(config):
    graph, _ = abstract(config)
    images = images_for(config)
    target = jax.random.normal(KEY, (images.shape[0], config.width), jnp.float32)

    def loss_of(params):
        return jnp.mean(jnp.square(nnx.merge(graph, params).features(images).pooled - target))

    @jax.jit
    def step(params):
        loss, gradient = jax.value_and_grad(loss_of)(params)
        # Descent by the sign moves small and large gradients alike, as Adam does; an odd number of steps cannot cancel.
        return jax.tree.map(lambda leaf, slope: leaf - 3e-3 * jnp.sign(slope), params, gradient), loss

    start = params = params_of(config)
    losses = []
    for _ in range(3):
        params, loss = step(params)
        losses.append(float(loss))
    assert losses[-1] < losses[0]
    chex.assert_tree_all_finite(params)
    before, after = (flatten_paths(each["blocks"]["attention"]["bias"]) for each in (start, params))
    assert set(before) == set(after) and before
    for path, leaf in after.items():
        assert not np.array_equal(leaf, before[path]), path


def slopes_in(config):
    leaves = flatten_paths(params_of(config))
    return [np.asarray(leaf) for path, leaf in sorted(leaves.items()) if path.endswith("look_here.slope")]


def test_slopes_fall_from_the_first_block_to_the_last():
    deep = dataclasses.replace(BARE, depth=5, position=Position(terms=(LookHere(),)))
    (slopes,) = slopes_in(deep)
    np.testing.assert_allclose(slopes[:, 0], np.linspace(1.5, 0.5, 5), rtol=1e-6)


def test_slopes_fall_through_all_stages():
    staged: SwinConfig = dataclasses.replace(SWIN, position=Position(terms=(LookHere(),)))
    slopes = np.concatenate([stage[:, 0] for stage in slopes_in(staged)])
    np.testing.assert_allclose(slopes, np.linspace(1.5, 0.5, staged.depth), rtol=1e-6)


def test_slopes_that_all_blocks_share_are_in_between():
    (slopes,) = slopes_in(dataclasses.replace(BARE, position=Position(shared=(LookHere(),))))
    assert slopes[0] == pytest.approx(1.0)


def test_drawing_them_again_gives_the_slopes_of_each_block():
    config = dataclasses.replace(BARE, position=Position(terms=(LookHere(),)))
    params = {"backbone": params_of(config)}
    flat = jax.tree.map(jnp.ones_like, params)
    drawn = intervene(config, flat, "reinit", key=KEY)[1]
    bias, found = (tree["backbone"]["blocks"]["attention"]["bias"] for tree in (params, drawn))
    chex.assert_trees_all_close(found, bias, rtol=1e-6)
