"""Every kind of model is made by the same functions and answers the same calls."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gauss_vit.models.backbone import Backbone, BackboneConfig
from gauss_vit.models.construct import abstract, build
from tests.models import test_swin, test_vit

CONFIGS = {"vit": test_vit.RELATIVE, "swin": test_swin.V1}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_abstract_parameters_are_those_of_the_built_model(config):
    graph, shapes = abstract(config)
    params = nnx.to_pure_dict(nnx.state(build(config, jax.random.key(0))))
    chex.assert_trees_all_equal_shapes_and_dtypes(shapes, params)
    assert all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(shapes))
    assert isinstance(nnx.merge(graph, params), Backbone)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_key_gives_one_model(config):
    first, same, other = (nnx.to_pure_dict(nnx.state(build(config, jax.random.key(seed)))) for seed in (0, 0, 1))
    chex.assert_trees_all_equal(first, same)
    assert not np.array_equal(first["patch_embed"]["kernel"], other["patch_embed"]["kernel"])


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_backbones_answer_the_same_calls(config):
    assert isinstance(config, BackboneConfig)
    model = build(config, jax.random.key(0))
    images = jnp.ones((1, *config.image_size, 3), jnp.float32)
    features = jax.eval_shape(model.features, images)
    assert features.last.shape[:3] == (1, *config.grid)
    assert features.pooled.shape == (1, config.num_features)
    stages = jax.eval_shape(model.intermediates, images)
    assert sum(stage.tokens.shape[0] for stage in stages) == config.depth
    layers = np.concatenate([group.layers for group in jax.jit(model.attention_inputs)(images)])
    np.testing.assert_array_equal(np.sort(layers), np.arange(config.depth))
