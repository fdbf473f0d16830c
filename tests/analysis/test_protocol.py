"""Protocols of receptive fields: what each one reads and keeps."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.analysis.protocol import (
    BMVC2023,
    LUO2016,
    PRE_NORM,
    PROTOCOLS,
    RANDOM_PROJECTION,
    REPLKNET,
    balanced_signs,
    protocol_named,
    rectified_rgb_mean,
)
from gauss_vit.errors import ConfigError


def test_every_protocol_is_found_by_its_name():
    assert [protocol_named(protocol.name) for protocol in PROTOCOLS] == list(PROTOCOLS)
    assert len({protocol.name for protocol in PROTOCOLS}) == len(PROTOCOLS)


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"unknown protocol 'bmvc23'.*bmvc2023, pre_norm") as caught:
        protocol_named("bmvc23")
    assert caught.value.do == "use bmvc2023"


def test_a_new_protocol_is_a_new_value():
    mine = replace(BMVC2023, name="mine")
    assert protocol_named("mine", (*PROTOCOLS, mine)) == mine


def test_the_papers_readout_is_the_mean_of_the_channels():
    channels = jnp.asarray([[1.0, 2.0, 6.0], [0.0, 0.0, -3.0]], jnp.float32)
    np.testing.assert_allclose(BMVC2023.readouts[0](channels), [3.0, -1.0], rtol=1e-6)
    np.testing.assert_allclose(PRE_NORM.readouts[0](channels), [3.0, -1.0], rtol=1e-6)


def test_only_pre_norm_reads_the_residual_stream():
    assert [protocol.name for protocol in PROTOCOLS if not protocol.reads_normalized] == ["pre_norm"]


@pytest.mark.parametrize("num_channels", [1, 2, 3, 8, 385])
def test_random_signs_balance(num_channels):
    signs = balanced_signs(num_channels)
    assert set(signs) <= {-1.0, 1.0}
    assert signs.sum() == num_channels % 2
    np.testing.assert_array_equal(signs, balanced_signs(num_channels))


def test_random_projection_does_not_see_a_constant_over_channels():
    channels = jnp.asarray(np.random.default_rng(1).normal(size=(4, 16)), jnp.float32)
    shifted = channels + jnp.float32(3.0)
    (read,) = RANDOM_PROJECTION.readouts
    np.testing.assert_allclose(read(shifted), read(channels), atol=1e-6)


def test_colours_are_averaged_before_the_negative_part_is_cut():
    gradient = jnp.asarray([[[[3.0, -1.0, -1.0], [1.0, -2.0, -2.0]]]], jnp.float32)
    np.testing.assert_allclose(rectified_rgb_mean(gradient), [[[1.0 / 3.0, 0.0]]], rtol=1e-6)


def test_replknet_sums_what_is_positive_of_the_channels_and_of_every_colour():
    channels = jnp.asarray([[1.0, -2.0, 6.0], [-1.0, 0.0, -3.0]], jnp.float32)
    (read,) = REPLKNET.readouts
    np.testing.assert_allclose(read(channels), [7.0, 0.0])
    gradient = jnp.asarray([[[[3.0, -1.0, -1.0], [1.0, -2.0, -2.0]]]], jnp.float32)
    np.testing.assert_allclose(REPLKNET.image_map(gradient), [[[3.0, 1.0]]])


def test_replknet_scores_are_logarithms_and_its_centre_is_that_of_convolutional_nets():
    np.testing.assert_allclose(REPLKNET.scores(np.array([[0.0, 9.0, 99.0]])), [[0, 1, 2]])
    assert REPLKNET.center((14, 14)) == (7, 7)
    assert REPLKNET.center((7, 10)) == (3, 5)
    assert BMVC2023.center((14, 14)) == (6, 6)


def test_luo_weights_have_unit_norm_and_differ_from_draw_to_draw():
    weights = np.stack([np.asarray(read(jnp.eye(16, dtype=jnp.float32))) for read in LUO2016.readouts])
    np.testing.assert_allclose(np.linalg.norm(weights, axis=1), 1, rtol=1e-6)
    assert len(np.unique(weights, axis=0)) == len(LUO2016.readouts) == 8


def test_luo_keeps_the_size_of_the_gradient():
    gradient = jnp.asarray([[[[3.0, -3.0, 0.0]]]], jnp.float32)
    np.testing.assert_allclose(LUO2016.image_map(gradient), [[[2.0]]])
