"""Attention, vision transformers and Swins with rotary embeddings: every way to compute them is the same."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gauss_vit.errors import ConfigError
from gauss_vit.models.attention import Attention, AttentionConfig
from gauss_vit.models.compute import Compute
from gauss_vit.position import AxialRotary, Gaussian, MixedRotary, Position
from gauss_vit.position.rotary import angles, rotate
from gauss_vit.train import bias_effect
from gauss_vit.train.state import AbstractModel
from tests.models import test_swin
from tests.models.built import build
from tests.models.test_vit import PLAIN, RELATIVE, images_for

KEY = jax.random.key(0)
ROTARIES = {
    "eva02": AxialRotary(base=10000.0, reference=(4, 4)),
    "dinov3": AxialRotary(coordinates="centered", pairing="half"),
    "mixed": MixedRotary(),
}
CONFIG = AttentionConfig(
    width=16, num_heads=2, grid=(2, 3), prefix_tokens=1, terms=(Gaussian(),), start="fan_in_uniform"
)


def attention_with(rotary, **changes):
    return Attention(dataclasses.replace(CONFIG, rotary=rotary, **changes), key=KEY)


def tokens_for(batch=2):
    return jax.random.normal(jax.random.key(1), (batch, 7, 16), jnp.float32)


def written_out(attention, tokens):
    """The output by the formula, in NumPy in float64 but for the rotation."""
    kernel, bias = (np.asarray(each, np.float64) for each in attention.query_key_value.arrays())
    query, key, value = np.moveaxis((tokens @ kernel + bias).reshape(*tokens.shape[:2], 3, 2, 8), 2, 0)
    rotary = attention.config.rotary
    params = {} if attention.rotary is None else nnx.to_pure_dict(nnx.state(attention.rotary))
    turned = angles(rotary, params, (2, 3), channels=8, prefix_tokens=1)
    query, key = (
        np.asarray(rotate(jnp.asarray(each, jnp.float32), turned, layout=rotary.layout)) for each in (query, key)
    )
    logits = np.einsum("bqhc,bkhc->bhqk", query, key) * 8**-0.5 + np.asarray(attention.logits_bias())
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    mixed = np.einsum("bhqk,bkhc->bqhc", weights, value).reshape(tokens.shape)
    kernel, bias = (np.asarray(each, np.float64) for each in attention.projection.arrays())
    return weights, mixed @ kernel + bias


@pytest.mark.parametrize("kernel", ["reference", "whole", "einsum", "rows"])
@pytest.mark.parametrize("name", ROTARIES)
def test_every_kernel_attends_with_rotated_queries_and_keys(name, kernel):
    attention, tokens = attention_with(ROTARIES[name], compute=Compute(kernel=kernel)), tokens_for(batch=1)
    weights, expected = written_out(attention, np.asarray(tokens, np.float64))
    np.testing.assert_allclose(jax.jit(lambda each: attention(each))(tokens), expected, atol=2e-6)
    np.testing.assert_allclose(attention(tokens), expected, atol=2e-6)
    np.testing.assert_allclose(attention.weights(tokens), weights, atol=2e-6)
    for index in (0, 4):
        at_token = attention.at_token(tokens, jnp.int32(index))
        np.testing.assert_allclose(at_token[:, 0], expected[:, index], atol=2e-6)


def test_cosine_attention_is_rotated_too():
    attention = attention_with(MixedRotary(), similarity="cosine", biases="query_value")
    tokens = tokens_for()
    plain = Attention(dataclasses.replace(attention.config, rotary=None), key=KEY)
    assert np.abs(attention(tokens) - plain(tokens)).max() > 1e-4
    np.testing.assert_allclose(attention(tokens)[:, 3], attention.at_token(tokens, jnp.int32(3))[:, 0], atol=2e-6)


@pytest.mark.parametrize("name", ROTARIES)
def test_bfloat16_stays_near_float32(name):
    attention, tokens = attention_with(ROTARIES[name]), tokens_for()
    half = attention(tokens.astype(jnp.bfloat16))
    assert half.dtype == jnp.bfloat16
    # Eight bits of mantissa in the operands of every product.
    np.testing.assert_allclose(half.astype(jnp.float32), attention(tokens), atol=0.03)


def rotary_vit(rotary, base=PLAIN, **position):
    return dataclasses.replace(base, width=32, position=dataclasses.replace(base.position, rotary=rotary, **position))


@pytest.mark.parametrize("name", ROTARIES)
def test_one_token_of_a_model_is_that_of_the_whole_map(name):
    config = rotary_vit(ROTARIES[name])
    model, images = build(config, KEY), images_for(config)
    token = model.token_features(model.before_last_block(images), jnp.array([1, 2], jnp.int32), is_normalized=True)
    np.testing.assert_allclose(token, model.features(images).last[:, 1, 2], atol=1e-5)


@pytest.mark.parametrize("name", ROTARIES)
def test_the_rotation_of_every_block_is_live(name):
    config = rotary_vit(ROTARIES[name], RELATIVE)
    effects = bias_effect.measure_effects(*nnx.split(build(config, KEY)), images_for(config))
    found = [(effect.term, effect.layer) for effect in effects]
    assert found == [(term, layer) for term in ("gaussian", "relative_mlp", "rotary") for layer in range(3)]
    bias_effect.require_effect(effects)
    assert all(effect.change > 1e-3 and not effect.is_zero for effect in effects if effect.term == "rotary")


def test_a_rotation_by_nothing_is_seen():
    config = rotary_vit(MixedRotary())
    graph, state = nnx.split(build(config, KEY))
    params = nnx.to_pure_dict(state)
    frequencies = params["blocks"]["attention"]["rotary"]["frequencies"]
    params["blocks"]["attention"]["rotary"]["frequencies"] = frequencies.at[1].set(0)
    effects = bias_effect.measure_effects(graph, params, images_for(config))
    assert [effect.layer for effect in effects if effect.is_zero] == [1]


def test_windows_of_a_swin_are_rotated():
    base = test_swin.GAUSSIANS["v1, shared"]
    config = dataclasses.replace(base, position=dataclasses.replace(base.position, rotary=MixedRotary()))
    model = test_swin.lively(config)
    effects = bias_effect.measure_effects(*nnx.split(model), test_swin.images_for(config))
    assert [effect.layer for effect in effects if effect.term == "rotary"] == list(range(config.depth))
    bias_effect.require_effect(effects)


def test_frequencies_are_one_set_a_layer_and_head_and_never_decayed():
    config = rotary_vit(MixedRotary())
    graph, state = nnx.split(build(config, KEY))
    params = nnx.to_pure_dict(state)
    frequencies = params["blocks"]["attention"]["rotary"]["frequencies"]
    assert frequencies.shape == (3, 2, 2, 8)
    assert len(np.unique(np.round(frequencies[:, 0, :, 0], 4))) == 6
    assert AbstractModel(graph=graph, params=params).undecayed == ("blocks.attention.rotary.frequencies",)


def test_axial_embeddings_have_no_parameters():
    config = rotary_vit(AxialRotary())
    plain = dataclasses.replace(config, position=dataclasses.replace(config.position, rotary=None))
    shapes = [jax.tree.structure(nnx.to_pure_dict(nnx.state(build(each, KEY)))) for each in (config, plain)]
    assert shapes[0] == shapes[1]


def test_heads_of_a_number_of_channels_that_four_does_not_divide_are_refused():
    with pytest.raises(ConfigError, match="a multiple of 4 channels, and these have 6"):
        AttentionConfig(width=12, num_heads=2, grid=(2, 3), rotary=AxialRotary())


def test_position_says_that_attention_has_it():
    assert Position(rotary=AxialRotary()).acts_in_attention
    assert Position(terms=(Gaussian(),)).acts_in_attention
    assert not Position().acts_in_attention
