"""Attention by cosines, as SwinV2 has it, against its formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.models.attention import Attention, AttentionConfig

CONFIG = AttentionConfig(width=8, num_heads=2, grid=(2, 3), biases="query_value", similarity="cosine")


def formula(attention, tokens):
    """Attention weights in float64."""
    kernel, tokens = (np.asarray(array, np.float64) for array in (attention.query_key_value.kernel[...], tokens))
    query, key = (
        ((tokens @ kernel)[..., :16] + np.pad(np.asarray(attention.query_bias[...]), (0, 8)))
        .reshape(*tokens.shape[:2], 2, 2, 4)
        .transpose(2, 0, 3, 1, 4)
    )
    query, key = (part / np.maximum(np.linalg.norm(part, axis=-1, keepdims=True), 1e-12) for part in (query, key))
    scale = np.minimum(np.exp(np.asarray(attention.logit_scale[...], np.float64)), 100)
    logits = np.einsum("bhqc,bhkc->bhqk", query, key) * scale[:, None, None]
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def attention_with(logit_scale):
    attention = Attention(CONFIG, key=jax.random.key(0))
    attention.query_bias[...] = jnp.linspace(-1, 1, 8, dtype=jnp.float32)
    attention.logit_scale[...] = jnp.asarray(logit_scale, jnp.float32)
    return attention


@pytest.mark.parametrize("logit_scale", [(0.0, 2.3), (4.0, 6.0)])
def test_cosines_are_scaled_by_a_number_a_head_of_at_most_a_hundred(logit_scale):
    attention = attention_with(logit_scale)
    tokens = jax.random.normal(jax.random.key(1), (2, 6, 8), jnp.float32)
    # A scale of 100 costs two of float32's seven digits.
    np.testing.assert_allclose(attention.weights(tokens), formula(attention, tokens), atol=5e-5)


def test_length_of_tokens_does_not_matter_without_biases():
    attention = attention_with((1.0, 1.0))
    attention.query_bias[...] = jnp.zeros((8,), jnp.float32)
    tokens = jax.random.normal(jax.random.key(1), (1, 6, 8), jnp.float32)
    np.testing.assert_allclose(attention.weights(tokens), attention.weights(1000 * tokens), atol=1e-5)


def test_tokens_of_zeros_have_finite_gradients():
    attention = attention_with((1.0, 1.0))
    gradient = jax.grad(lambda tokens: jnp.sum(attention(tokens) ** 2))(jnp.zeros((1, 6, 8), jnp.float32))
    assert np.all(np.isfinite(gradient))
