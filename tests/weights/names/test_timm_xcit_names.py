"""XCiT's weights go to timm's names and back without a change."""

import chex
import jax
import numpy as np

from gauss_vit.models.construct import abstract
from gauss_vit.models.presets.xcit import PRESETS_XCIT
from gauss_vit.weights.names import naming
from gauss_vit.weights.names.timm_xcit_names import xcit_rules
from tests.models.test_xcit import CONFIG
from tests.networks import classifier


def test_there_and_back_is_the_identity():
    random = np.random.default_rng(0)
    target = abstract(classifier(CONFIG))[1]
    params = jax.tree.map(lambda leaf: random.normal(size=leaf.shape).astype(np.float32), target)
    rules = xcit_rules(CONFIG)
    restored = naming.from_theirs(naming.to_theirs(params, rules), rules, target)
    assert jax.tree.structure(restored) == jax.tree.structure(params)
    chex.assert_trees_all_equal(restored, params)


def test_names_and_shapes_are_timms():
    config = PRESETS_XCIT["xcit_tiny_12_p16_224"]
    wanted = naming.expected(xcit_rules(config), abstract(classifier(config, 1000))[1])
    shapes = {name: each.shape for name, each in wanted.items()}
    assert shapes["patch_embed.proj.6.0.weight"] == (192, 96, 3, 3)
    assert shapes["patch_embed.proj.2.1.running_var"] == (48,)
    assert shapes["pos_embed.token_projection.weight"] == (192, 64, 1, 1)
    assert shapes["blocks.11.local_mp.conv2.weight"] == (192, 1, 3, 3)
    assert shapes["blocks.11.attn.temperature"] == (4, 1, 1)
    assert shapes["cls_attn_blocks.1.attn.q.weight"] == (192, 192)
    # timm's state has this many tensors, without the counters of 16 batch normalisations.
    assert len(shapes) == 375
