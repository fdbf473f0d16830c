"""The hint is given where LayerScale hides a position bias, and nowhere else."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit import main as program
from gauss_vit.heads.linear import LinearHead
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.inspect.layer_scale import initial_gains, layer_scale_hint
from gauss_vit.position.position import without_terms
from gauss_vit.position.terms.gaussian import Gaussian
from tests.networks import network_params
from tests.tiny_config import FLAG, MODEL

HIDDEN = dataclasses.replace(MODEL, layer_scale=1e-6)


def test_gains_of_one_millionth_hide_a_bias():
    hint = layer_scale_hint(HIDDEN, network_params(HIDDEN, num_classes=10))
    assert "gains of 1e-06" in hint and "\n" not in hint


@pytest.mark.parametrize(
    "config", [MODEL, dataclasses.replace(MODEL, layer_scale=0.1), without_terms(HIDDEN, Gaussian)]
)
def test_otherwise_nothing_is_said(config):
    assert layer_scale_hint(config, network_params(config, num_classes=10)) == ""


def test_one_block_whose_gains_have_grown_shows_the_bias():
    params = {"backbone": {"blocks": {"layer_scale1": jnp.array([[1e-6] * 4, [0.2] * 4])}}}
    assert layer_scale_hint(HIDDEN, params) == ""


def test_the_gains_alone_are_drawn_for_the_plan_of_a_run():
    gains = initial_gains(NetworkConfig(backbone=HIDDEN, head=LinearHead(num_classes=10)))
    assert list(gains) == ["backbone.blocks.layer_scale1"]
    np.testing.assert_array_equal(gains["backbone.blocks.layer_scale1"], np.full((2, 16), 1e-6, np.float32))


def test_show_says_it_in_its_last_line(capsys: pytest.CaptureFixture[str]):
    assert program.main(["show", FLAG, "--config.model.layer_scale=1e-6"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("LayerScale hides the position bias")
    assert program.main(["show", FLAG]) == 0
    assert "LayerScale hides" not in capsys.readouterr().out
