"""Weights go to timm's names and back without a change; what does not fit is named, all of it at once."""

import dataclasses

import chex
import jax
import numpy as np
import pytest

from gauss_vit.errors import CheckpointError
from gauss_vit.models.construct import abstract
from gauss_vit.position import RelativeTable
from gauss_vit.position.position import Position, without_terms
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.tree import flatten_paths
from gauss_vit.weights.names import naming, timm_names
from tests.models.test_vit import PLAIN, RELATIVE
from tests.networks import classifier, network_params

PLAIN_RELATIVE = without_terms(RELATIVE, Gaussian)
CONFIGS = {
    "relative": PLAIN_RELATIVE,
    "table": dataclasses.replace(PLAIN_RELATIVE, position=Position(terms=(RelativeTable(),))),
    "plain": PLAIN,
}


def params_of(config):
    return jax.tree.map(np.asarray, network_params(config))


def tensors_of(config):
    return naming.to_theirs(params_of(config), timm_names.vit_rules(config))


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_there_and_back_is_the_identity(config):
    rules = timm_names.vit_rules(config)
    restored = naming.from_theirs(tensors_of(config), rules, abstract(classifier(config))[1])
    assert jax.tree.structure(restored) == jax.tree.structure(params_of(config))
    chex.assert_trees_all_equal(restored, params_of(config))


def test_names_and_shapes_are_timms():
    tensors = tensors_of(PLAIN_RELATIVE)
    assert tensors["patch_embed.proj.weight"].shape == (16, 3, 4, 4)
    assert tensors["blocks.2.attn.rel_pos.mlp.fc1.weight"].shape == (8, 2)
    assert tensors["blocks.0.attn.qkv.weight"].shape == (48, 16)
    assert tensors["fc_norm.weight"].shape == (16,)
    assert "norm.weight" in tensors_of(PLAIN)
    assert tensors_of(PLAIN)["pos_embed"].shape == (1, 7, 16)
    assert tensors_of(CONFIGS["table"])["blocks.1.attn.rel_pos.relative_position_bias_table"].shape == (15, 2)


def test_every_problem_is_reported_at_once():
    tensors = tensors_of(PLAIN_RELATIVE)
    del tensors["head.bias"]
    tensors["evil\x1b[31m"] = np.zeros(1)
    tensors["blocks.1.mlp.fc1.bias"] = np.zeros(3)
    with pytest.raises(CheckpointError) as caught:
        naming.from_theirs(tensors, timm_names.vit_rules(PLAIN_RELATIVE), abstract(classifier(PLAIN_RELATIVE))[1])
    message = str(caught.value)
    assert "1 missing: head.bias" in message
    assert "1 unexpected: evil\\x1b[31m" in message
    assert "1 misshaped: blocks.1.mlp.fc1.bias gives (3,) for backbone.blocks.mlp.fc1.bias (64,)" in message


def test_long_lists_are_cut():
    with pytest.raises(CheckpointError, match=r"missing: .* and \d+ more"):
        naming.from_theirs({}, timm_names.vit_rules(PLAIN), abstract(classifier(PLAIN))[1])


def test_a_parameter_without_a_name_there_is_refused():
    with pytest.raises(CheckpointError, match=r"without a name in the target format: .*gaussian\.amplitude"):
        tensors_of(RELATIVE)


def test_layers_keep_their_order():
    params = params_of(PLAIN)
    tensors = tensors_of(PLAIN)
    kernels = flatten_paths(params)["backbone.blocks.mlp.fc2.kernel"]
    for layer in range(3):
        np.testing.assert_array_equal(tensors[f"blocks.{layer}.mlp.fc2.weight"], kernels[layer].T)
