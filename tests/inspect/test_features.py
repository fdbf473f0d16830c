"""Feature maps and tables read from a model's parameters."""

import dataclasses
import functools
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.analysis import erf, gradient
from gauss_vit.analysis.erf import accumulate, batch_of, feature_grid
from gauss_vit.analysis.protocol import BMVC2023, PRE_NORM
from gauss_vit.errors import ConfigError
from gauss_vit.inspect.features import check_whole_patches, features_of, grid_of_layer
from gauss_vit.models.compute import Compute
from gauss_vit.models.swin import SwinConfig
from gauss_vit.position import Position, RelativeTable
from tests.models.built import build
from tests.networks import network_params
from tests.tiny_config import MODEL

NORMED = dataclasses.replace(MODEL, class_token=True, pool="token", norm="before_pool")


@functools.cache
def params_of(config):
    return network_params(config, seed=3)


def images():
    return jnp.asarray(np.random.default_rng(0).normal(size=(2, 16, 32, 3)), jnp.float32)


@jax.jit
def computed(features, pictures):
    """The map, by a program that layers of one stage share."""
    return features(pictures)


@pytest.mark.parametrize("config", [MODEL, NORMED])
def test_the_end_of_the_trunk_is_the_models(config):
    params = params_of(config)
    expected = jax.jit(build(config, jax.random.key(3)).features)(images())
    for protocol, feature_map in ((BMVC2023, expected.last), (PRE_NORM, expected.pre_norm)):
        features = features_of(config, params, layer=None, protocol=protocol)
        np.testing.assert_allclose(computed(features, images()), feature_map, rtol=1e-5, atol=1e-6)
        assert feature_grid(features, (16, 32)) == (2, 4)


def test_a_layer_is_the_residual_stream_behind_its_block():
    params = params_of(NORMED)
    model = build(NORMED, jax.random.key(3))
    last, streams = jax.jit(lambda images: model.scan_blocks(model.embed(images), collect=True))(images())
    for layer, stream in ((1, streams[1]), (2, last)):
        features = features_of(NORMED, params, layer=layer, protocol=BMVC2023)
        np.testing.assert_allclose(
            computed(features, images()), stream[:, 1:].reshape(2, 2, 4, 16), rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("layer", [0, 3])
def test_a_layer_that_is_not_there_is_refused(layer):
    with pytest.raises(ConfigError, match=f"no layer {layer} in a model of 2"):
        features_of(MODEL, params_of(MODEL), layer=layer, protocol=BMVC2023)


def test_models_in_bfloat16_are_measured_in_float32():
    config = dataclasses.replace(MODEL, compute=Compute(dtype="bfloat16"))
    features = features_of(config, params_of(MODEL), layer=None, protocol=BMVC2023)
    assert jax.eval_shape(features, images()).dtype == jnp.float32


def test_a_fresh_final_normalisation_is_degenerate_and_pre_norm_is_not():
    params, batch = params_of(NORMED), batch_of(images())
    with pytest.raises(ConfigError, match="degenerate"):
        accumulate(features_of(NORMED, params, layer=None, protocol=BMVC2023), [batch], tokens=((0, 1),))
    features = features_of(NORMED, params, layer=None, protocol=PRE_NORM)
    (result,) = accumulate(features, [batch], tokens=((0, 1),), protocol=PRE_NORM).maps()
    assert result.values[:8, 8:16].sum() > 0.2


@pytest.mark.parametrize("layer", [None, 1])
def test_one_token_is_a_token_of_the_map(layer):
    params = params_of(NORMED)
    features = features_of(NORMED, params, layer=layer, protocol=BMVC2023)

    @jax.jit
    def at_token(position):
        trunk = features.func.trunk(*features.args, images())
        return features.func.at_token(*features.args, trunk, position)

    found = at_token(jnp.array([1, 3], jnp.int32))
    np.testing.assert_allclose(found, computed(features, images())[:, 1, 3], rtol=1e-5, atol=1e-6)


def test_unrolled_blocks_are_other_programs_and_give_the_same():
    params = params_of(NORMED)
    scanned, unrolled = (
        features_of(NORMED, params, layer=None, protocol=BMVC2023, unrolls=unrolls) for unrolls in (False, True)
    )
    assert scanned.func != unrolled.func
    np.testing.assert_allclose(computed(scanned, images()), computed(unrolled, images()), rtol=1e-5, atol=1e-6)
    # The weights of a block are read where they lie, not copied out of a stack.
    text = jax.jit(unrolled.func).lower(*unrolled.args, images()).compile().as_text()
    stacked = rf"f32\[{NORMED.depth},{NORMED.width},{3 * NORMED.width}\]"
    assert re.search(stacked, text) is None
    assert re.search(stacked, jax.jit(scanned.func).lower(*scanned.args, images()).compile().as_text())


SWIN = SwinConfig(
    image_size=(32, 64),
    patch_size=(4, 4),
    width=8,
    depths=(2, 1, 1),
    num_heads=(1, 2, 2),
    window=(4, 4),
    biases="all",
    similarity="product",
    norm="before",
    position=Position(terms=(RelativeTable(),)),
)


def test_a_layer_of_a_swin_transformer_has_the_grid_of_its_stage():
    params = params_of(SWIN)
    pictures = jnp.asarray(np.random.default_rng(0).normal(size=(1, 32, 64, 3)), jnp.float32)
    stages = jax.jit(build(SWIN, jax.random.key(3)).intermediates)(pictures)
    expected = [tokens for stage in stages for tokens in stage.tokens]
    for layer, grid in ((2, (8, 16)), (3, (4, 8)), (4, (2, 4))):
        features = features_of(SWIN, params, layer=layer, protocol=BMVC2023)
        assert grid_of_layer(SWIN, layer) == feature_grid(features, (32, 64)) == grid
        np.testing.assert_allclose(
            computed(features, pictures).reshape(expected[layer - 1].shape), expected[layer - 1], rtol=1e-4, atol=1e-5
        )
    assert grid_of_layer(SWIN, None) == SWIN.grid
    with pytest.raises(ConfigError, match="no layer 5 in a model of 4"):
        grid_of_layer(SWIN, 5)


def test_patches_that_cover_more_than_the_image_are_refused_with_sizes_that_work():
    uneven = dataclasses.replace(SWIN, image_size=(24, 64))
    assert uneven.grid == (2, 4)
    check_whole_patches(uneven, 3)
    check_whole_patches(SWIN, None)
    for layer in (4, None):
        with pytest.raises(ConfigError, match=r"24 x 64 .* patches of 16 x 16") as caught:
            check_whole_patches(uneven, layer)
        assert caught.value.do == "choose 16x64 or 32x64"


@pytest.fixture
def one_program(monkeypatch):
    """Fails where gradients are summed by more than one program."""
    traced_once = chex.assert_max_traces(gradient.token_sums.__wrapped__, n=1)
    monkeypatch.setattr(erf, "token_sums", jax.jit(traced_once, static_argnames=("protocol", "microbatches")))


def test_layers_of_one_grid_share_one_program(one_program):
    params, batch = params_of(NORMED), batch_of(images())
    for layer in (1, 2):
        accumulate(
            features_of(NORMED, params, layer=layer, protocol=PRE_NORM), [batch], tokens=((0, 1),), protocol=PRE_NORM
        )


def test_layers_of_a_stage_share_one_program(one_program):
    params = params_of(SWIN)
    pictures = jnp.asarray(np.random.default_rng(0).normal(size=(1, 32, 64, 3)), jnp.float32)
    for layer in (1, 2):
        grid = grid_of_layer(SWIN, layer)
        (found,) = accumulate(
            features_of(SWIN, params, layer=layer, protocol=PRE_NORM),
            [batch_of(pictures)],
            tokens=(PRE_NORM.center(grid),),
            protocol=PRE_NORM,
        ).maps()
        assert found.values.sum() == pytest.approx(1)
