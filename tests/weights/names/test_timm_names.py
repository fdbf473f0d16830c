"""timm's names of the parts that DINOv2, CLIP, SigLIP and EVA have beside those of a ViT, in both directions."""

import dataclasses

import jax
import numpy as np
import pytest

from gauss_vit.models.construct import abstract
from gauss_vit.position.absolute import AbsoluteEmbedding
from gauss_vit.position.position import Position, without_terms
from gauss_vit.position.rotary_axial import AxialRotary
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.tree import flatten_paths
from gauss_vit.weights.names.name_tables import timm_rules
from gauss_vit.weights.names.naming import expected, from_theirs, to_theirs
from gauss_vit.weights.pretrained import load_weights
from gauss_vit.weights.safetensors_file import write
from tests.models.test_vit import VARIANTS
from tests.networks import classifier, network_params

NAMES = {
    "registers": {
        "reg_token": (1, 4, 16),
        "pos_embed": (1, 6, 16),
        "blocks.1.mlp.fc1.weight": (128, 16),
        "blocks.1.mlp.norm.weight": (64,),
        "blocks.1.mlp.fc2.weight": (16, 64),
    },
    "attention pooling": {
        "norm_pre.weight": (16,),
        "attn_pool.latent": (1, 1, 16),
        "attn_pool.q.weight": (16, 16),
        "attn_pool.kv.weight": (32, 16),
        "attn_pool.proj.bias": (16,),
        "attn_pool.norm.bias": (16,),
        "attn_pool.mlp.fc1.weight": (64, 16),
    },
    "normalised after": {"blocks.2.norm1.weight": (16,), "norm.bias": (16,)},
}


def network_of(kind):
    return classifier(without_terms(VARIANTS[kind], Gaussian))


@pytest.mark.parametrize("kind", NAMES)
def test_names_and_shapes_are_timms(kind):
    network = network_of(kind)
    wanted = {name: each.shape for name, each in expected(timm_rules(network), abstract(network)[1]).items()}
    assert wanted | NAMES[kind] == wanted
    assert ("patch_embed.proj.bias" in wanted) == (kind != "attention pooling")
    assert not any(".ls1." in name for name in wanted) or kind == "registers"


@pytest.mark.parametrize("kind", NAMES)
def test_weights_come_back_as_they_went(kind):
    network = network_of(kind)
    params = jax.tree.map(np.asarray, network_params(network.backbone))
    back = from_theirs(to_theirs(params, timm_rules(network)), timm_rules(network), abstract(network)[1])
    jax.tree.map(np.testing.assert_array_equal, back, params)


def test_positions_of_patches_alone_are_resampled(tmp_path):
    network = network_of("registers")
    larger = dataclasses.replace(network.backbone, image_size=(16, 16))
    tensors = to_theirs(jax.tree.map(np.asarray, network_params(larger)), timm_rules(classifier(larger)))
    write(tmp_path / "w.safetensors", tensors)
    imported = load_weights(tmp_path / "w.safetensors", network)
    assert imported.resampled == ("pos_embed",) and not imported.fresh
    leaves = flatten_paths(imported.params)
    assert leaves["backbone.position_embed"].shape == (6, 16)
    np.testing.assert_array_equal(leaves["backbone.register_tokens"], tensors["reg_token"])


ROTATED = dataclasses.replace(
    VARIANTS["registers"],
    biases="query_value",
    position=Position(absolute=AbsoluteEmbedding(), rotary=AxialRotary(base=100.0)),
)
OF_EVA = {
    "packed": (dataclasses.replace(ROTATED, mlp_norm=False), {"attn.qkv.weight", "attn.q_bias", "mlp.fc1.weight"}),
    "apart": (
        ROTATED,
        {"attn.k_proj.weight", "attn.v_proj.bias", "mlp.fc1_g.bias", "mlp.fc1_x.weight", "mlp.norm.bias"},
    ),
    "gates apart": (
        dataclasses.replace(ROTATED, mlp_norm=False, position=Position(rotary=AxialRotary(base=100.0))),
        {"attn.qkv.weight", "mlp.fc1_g.weight"},
    ),
}


@pytest.mark.parametrize("layout", OF_EVA)
def test_every_layout_of_eva_comes_back(layout):
    config, names = OF_EVA[layout]
    network = classifier(config)
    params = jax.tree.map(np.asarray, network_params(config))
    theirs = to_theirs(params, timm_rules(network))
    assert {f"blocks.1.{name}" for name in names} | {"blocks.0.gamma_1", "reg_token"} <= set(theirs)
    jax.tree.map(np.testing.assert_array_equal, from_theirs(theirs, timm_rules(network), abstract(network)[1]), params)


def test_gate_comes_before_the_values():
    network = classifier(OF_EVA["apart"][0])
    params = jax.tree.map(np.asarray, network_params(network.backbone))
    theirs = to_theirs(params, timm_rules(network))
    kernel = params["backbone"]["blocks"]["mlp"]["fc1"]["kernel"][1]
    np.testing.assert_array_equal(theirs["blocks.1.mlp.fc1_g.weight"].T, kernel[:, :64])
    np.testing.assert_array_equal(theirs["blocks.1.mlp.fc1_x.weight"].T, kernel[:, 64:])
