"""Protocols of receptive fields: what each one reads and keeps."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.analysis.protocol import (
    BMVC2023,
    PRE_NORM,
    PROTOCOLS,
    RANDOM_PROJECTION,
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
    np.testing.assert_allclose(BMVC2023.readout(channels), [3.0, -1.0], rtol=1e-6)
    np.testing.assert_allclose(PRE_NORM.readout(channels), [3.0, -1.0], rtol=1e-6)


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
    np.testing.assert_allclose(RANDOM_PROJECTION.readout(shifted), RANDOM_PROJECTION.readout(channels), atol=1e-6)


def test_colours_are_averaged_before_the_negative_part_is_cut():
    gradient = jnp.asarray([[[[3.0, -1.0, -1.0], [1.0, -2.0, -2.0]]]], jnp.float32)
    np.testing.assert_allclose(rectified_rgb_mean(gradient), [[[1.0 / 3.0, 0.0]]], rtol=1e-6)
