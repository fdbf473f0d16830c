"""Attention, vision transformers and Swins whose queries predict Gaussians: every way to compute them is the same."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gauss_vit.models.attention import Attention, AttentionConfig
from gauss_vit.models.compute import Compute
from gauss_vit.position import Gaussian, MixedRotary, QueryGaussian
from gauss_vit.train import bias_effect
from gauss_vit.train.state import AbstractModel
from tests.models import test_swin
from tests.models.built import build
from tests.models.test_vit import PLAIN, RELATIVE, images_for

KEY = jax.random.key(0)
CONFIG = AttentionConfig(
    width=16,
    num_heads=2,
    grid=(2, 3),
    prefix_tokens=1,
    terms=(Gaussian(),),
    query_gaussian=QueryGaussian(),
    start="fan_in_uniform",
)


def attention_with(**changes):
    attention = Attention(dataclasses.replace(CONFIG, **changes), key=KEY)
    # As after some training: with kernels of 0.02 all queries would have nearly the same Gaussian.
    own = attention.query_gaussian
    for kernel in (own.variance_kernel, own.strength_kernel):
        kernel[...] = 30 * kernel[...]
    return attention


def tokens_for(batch=2):
    return jax.random.normal(jax.random.key(1), (batch, 7, 16), jnp.float32)


def written_out(attention, tokens):
    """Attention weights by the equations, in NumPy in float64; without a rotation."""
    kernel, bias = (np.asarray(each, np.float64) for each in attention.query_key_value.arrays())
    query, key, _ = np.moveaxis(
        (np.asarray(tokens, np.float64) @ kernel + bias).reshape(*tokens.shape[:2], 3, 2, 8), 2, 0
    )
    learned = nnx.to_pure_dict(nnx.state(attention.query_gaussian))
    learned = {name: np.asarray(each, np.float64) for name, each in learned.items()}
    strength = np.log1p(np.exp(query @ learned["strength_kernel"] + learned["strength_bias"]))[..., 0]
    variance = 9 / (1 + np.exp(np.log(8) - query @ learned["variance_kernel"] - learned["variance_bias"])) + 0.1
    logits = np.einsum("bqhc,bkhc->bhqk", query, key) * 8**-0.5 + np.asarray(attention.logits_bias())
    rows, columns = np.divmod(np.arange(6), 3)
    for token in range(6):
        down, across = (variance[:, token + 1, :, axis, None] for axis in (0, 1))
        exponents = (rows[token] - rows) ** 2 / (2 * down) + (columns[token] - columns) ** 2 / (2 * across)
        logits[:, :, token + 1, 1:] += strength[:, token + 1, :, None] * np.exp(-exponents)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


@pytest.mark.parametrize("batch", [1, 2])
def test_weights_are_those_of_the_equations(batch):
    attention, tokens = attention_with(), tokens_for(batch)
    np.testing.assert_allclose(attention.weights(tokens), written_out(attention, tokens), atol=1e-5)


@pytest.mark.parametrize("changes", [{}, {"rotary": MixedRotary()}, {"similarity": "cosine", "biases": "query_value"}])
def test_kernels_and_single_tokens_agree(changes):
    tokens = tokens_for()
    attention = attention_with(compute=Compute(kernel="reference"), **changes)
    expected = attention(tokens)
    rows = attention_with(compute=Compute(kernel="rows"), **changes)
    np.testing.assert_allclose(jax.jit(lambda each: rows(each))(tokens), expected, atol=2e-6)
    for index in (0, 1, 5):
        np.testing.assert_allclose(attention.at_token(tokens, jnp.int32(index))[:, 0], expected[:, index], atol=2e-6)


def test_bfloat16_stays_near_float32():
    attention, tokens = attention_with(), tokens_for()
    half = attention(tokens.astype(jnp.bfloat16))
    assert half.dtype == jnp.bfloat16
    # Eight bits of mantissa in the operands of every product.
    np.testing.assert_allclose(half.astype(jnp.float32), attention(tokens), atol=0.03)


def with_gaussians(base, **changes):
    position = dataclasses.replace(base.position, query_gaussian=QueryGaussian(), **changes)
    return dataclasses.replace(base, position=position)


def test_one_token_of_a_model_is_that_of_the_whole_map():
    config = with_gaussians(dataclasses.replace(PLAIN, width=32))
    model, images = build(config, KEY), images_for(config)
    token = model.token_features(model.before_last_block(images), jnp.array([1, 2], jnp.int32), is_normalized=True)
    np.testing.assert_allclose(token, model.features(images).last[:, 1, 2], atol=1e-5)


def test_the_gaussians_of_every_block_are_live():
    config = with_gaussians(RELATIVE)
    effects = bias_effect.measure_effects(*nnx.split(build(config, KEY)), images_for(config))
    found = [(effect.term, effect.layer) for effect in effects]
    assert found == [(term, layer) for term in ("gaussian", "query_gaussian", "relative_mlp") for layer in range(3)]
    bias_effect.require_effect(effects)


def test_gaussians_without_strength_are_dead():
    config = with_gaussians(PLAIN)
    graph, state = nnx.split(build(config, KEY))
    params = nnx.to_pure_dict(state)
    own = params["blocks"]["attention"]["query_gaussian"]
    own["strength_bias"] = own["strength_bias"].at[1].set(-1000)
    effects = bias_effect.measure_effects(graph, params, images_for(config))
    assert [effect.layer for effect in effects if not effect.is_live] == [1]


def test_windows_of_a_swin_have_gaussians():
    config = with_gaussians(test_swin.GAUSSIANS["v1, shared"])
    effects = bias_effect.measure_effects(*nnx.split(test_swin.lively(config)), test_swin.images_for(config))
    assert [effect.layer for effect in effects if effect.term == "query_gaussian"] == list(range(config.depth))
    bias_effect.require_effect(effects)


def test_only_biases_are_exempt_from_weight_decay():
    graph, state = nnx.split(build(with_gaussians(PLAIN), KEY))
    found = AbstractModel(graph=graph, params=nnx.to_pure_dict(state)).undecayed
    start = "blocks.attention.query_gaussian."
    assert found == (f"{start}variance_bias", f"{start}strength_bias")
