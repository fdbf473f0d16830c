"""timm's names of the parts that DINOv2, CLIP and SigLIP have beside those of a ViT, in both directions."""

import dataclasses

import jax
import numpy as np
import pytest

from gauss_vit.models.construct import abstract
from gauss_vit.position.position import without_terms
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
