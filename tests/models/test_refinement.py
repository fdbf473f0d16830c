"""The refinement of patches: equal to LocAt's code, with every kernel, for one token as for all."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.models.compute import Compute
from gauss_vit.models.refinement import refine, refine_token
from tests.models import test_swin
from tests.models.built import build
from tests.models.test_vit import PLAIN, RELATIVE, images_for

KEY = jax.random.key(0)
REFERENCE = np.load(Path(__file__).parent.parent / "position" / "query_gaussian_reference.npz")
REFINED = {
    "token": dataclasses.replace(PLAIN, refines_patches=True),
    "mean": dataclasses.replace(RELATIVE, refines_patches=True),
}


@pytest.mark.parametrize("kernel", ["reference", "whole", "einsum", "rows"])
def test_tokens_are_refined_as_by_the_code(kernel):
    tokens = jnp.asarray(REFERENCE["tokens"])
    found = refine(tokens, num_heads=2, grid=(3, 5), compute=Compute(kernel=kernel))
    np.testing.assert_allclose(found, REFERENCE["refined"], atol=2e-6)
    at_token = refine_token(tokens, jnp.int32(4), num_heads=2)
    np.testing.assert_allclose(at_token, REFERENCE["refined"][:, 4], atol=2e-6)


@pytest.mark.parametrize("name", REFINED)
def test_all_but_the_stream_is_refined(name):
    config = REFINED[name]
    plain = build(dataclasses.replace(config, refines_patches=False), KEY).features(images_for(config))
    found = build(config, KEY).features(images_for(config))
    np.testing.assert_array_equal(found.pre_norm, plain.pre_norm)
    tokens = jnp.concatenate([plain.prefix, plain.last.reshape(2, 6, -1)], axis=1)
    expected = refine(tokens, num_heads=2, grid=(2, 3), compute=Compute())
    prefix = plain.prefix.shape[1]
    np.testing.assert_allclose(found.prefix, expected[:, :prefix], atol=1e-6)
    np.testing.assert_allclose(found.last.reshape(2, 6, -1), expected[:, prefix:], atol=1e-6)
    assert np.abs(found.pooled - plain.pooled).max() > 1e-3


@pytest.mark.parametrize("name", REFINED)
@pytest.mark.parametrize("is_normalized", [True, False])
def test_one_token_of_a_model_is_that_of_the_whole_map(name, is_normalized):
    config = REFINED[name]
    model, images = build(config, KEY), images_for(config)
    stream, position = model.before_last_block(images), jnp.array([1, 2], jnp.int32)
    token = model.token_features(stream, position, is_normalized=is_normalized)
    features = model.features(images)
    whole = features.last if is_normalized else features.pre_norm
    np.testing.assert_allclose(token, whole[:, 1, 2], atol=1e-5)


def test_the_last_map_of_a_swin_is_refined():
    base = test_swin.V1
    config = dataclasses.replace(base, refines_patches=True)
    images = test_swin.images_for(config)
    plain, found = (build(each, KEY).features(images) for each in (base, config))
    shape = (plain.last.shape[0], -1, plain.last.shape[-1])
    expected = refine(
        plain.last.reshape(shape), num_heads=config.num_heads[-1], grid=plain.last.shape[1:3], compute=Compute()
    )
    np.testing.assert_allclose(found.last.reshape(shape), expected, atol=1e-5)
    np.testing.assert_array_equal(found.pre_norm, plain.pre_norm)


def test_a_class_token_that_enters_late_is_refused():
    with pytest.raises(ConfigError, match="class token in all blocks"):
        dataclasses.replace(PLAIN, class_blocks=2, mixes_heads=True, refines_patches=True)
