"""The weight decay of every parameter of UPerNet on Swin-S against that of MMSegmentation's optimizer."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

from gauss_vit.heads.network import NetworkConfig
from gauss_vit.heads.upernet import UPerNetHead
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.models.presets.swin import SWIN_SMALL
from gauss_vit.models.presets.vit import PRESETS_VIT
from gauss_vit.position import Gaussian, with_terms
from gauss_vit.train.optim import NORMS_AND_POSITIONS, AdamW, Optimizer
from gauss_vit.train.optim.optimizer import decay_mask
from gauss_vit.train.state import abstract_model
from gauss_vit.tree import flatten_paths

OPTIMIZER = Optimizer(rule=AdamW(), learning_rate=6e-5, weight_decay=0.01, no_decay=NORMS_AND_POSITIONS)
RECORDED = json.loads(Path(__file__).with_name("mmseg_decay.json").read_text(encoding="utf-8"))

NAMES = (
    (r"^backbone\.patch_embed", "backbone.patch_embed.projection"),
    (r"^backbone\.patch_norm", "backbone.patch_embed.norm"),
    (r"^backbone\.norm\.", "backbone.norm3."),
    (r"^head\.pyramid\.norms\.", "backbone.norm"),
    # MMSegmentation merges patches at the end of a stage.
    (r"\.stages\.(\d)\.merging", lambda match: f".stages.{int(match[1]) - 1}.downsample"),
    (r"\.attention\.query_key_value", ".attn.w_msa.qkv"),
    (r"\.attention\.projection", ".attn.w_msa.proj"),
    (r"\.attention\.bias\.relative\.table", ".attn.w_msa.relative_position_bias_table"),
    (r"\.mlp\.fc1", ".ffn.layers.0.0"),
    (r"\.mlp\.fc2", ".ffn.layers.1"),
    (r"^head\.auxiliary\.convolutions", "auxiliary_head.convs"),
    (r"^head\.auxiliary", "auxiliary_head"),
    (r"^head\.pooling\.(\d)", r"decode_head.psp_modules.\1.1"),
    (r"^head\.laterals", "decode_head.lateral_convs"),
    (r"^head\.smoothing", "decode_head.fpn_convs"),
    (r"^head\.fusion", "decode_head.fpn_bottleneck"),
    (r"^head", "decode_head"),
    (r"\.classifier", ".conv_seg"),
    (r"\.convolution\.", ".conv."),
    (r"\.batch_norm\.", ".bn."),
    (r"\.(kernel|scale)$", ".weight"),
)
"""Our paths to MMSegmentation's names, one substitution after the other; blocks still lack their index."""


def mask_of(backbone: BackboneConfig) -> dict[str, bool]:
    """Whether each parameter of a UPerNet decays, by path."""
    model = abstract_model(NetworkConfig(backbone=backbone, head=UPerNetHead()).make)
    mask = flatten_paths(decay_mask(OPTIMIZER, model.params, undecayed=model.undecayed))
    return {path: decays for path, decays in mask.items() if path not in model.statistics}


def names_of(path: str) -> list[str]:
    """Names in MMSegmentation of a parameter of Swin-S, one for each block."""
    for pattern, name in NAMES:
        path = re.sub(pattern, name, path)
    stage = re.search(r"\.stages\.(\d)\.blocks\.", path)
    if stage is None:
        return [path]
    return [path.replace(".blocks.", f".blocks.{block}.") for block in range(SWIN_SMALL.depths[int(stage[1])])]


@pytest.fixture(scope="module")
def swin_small() -> dict[str, bool]:
    return mask_of(with_terms(dataclasses.replace(SWIN_SMALL, windows="fixed"), Gaussian()))


@pytest.mark.parametrize(("group", "is_decayed"), [("decayed", True), ("undecayed", False)])
def test_every_parameter_decays_as_in_mmsegmentation(swin_small: dict[str, bool], group: str, is_decayed: bool):
    paths = [path for path, decays in swin_small.items() if decays == is_decayed and ".gaussian." not in path]
    assert sorted(name for path in paths for name in names_of(path)) == RECORDED[group]


def test_the_gaussian_does_not_decay(swin_small: dict[str, bool]):
    found = {path: decays for path, decays in swin_small.items() if ".gaussian." in path}
    assert len(found) == 2 * len(SWIN_SMALL.depths) and not any(found.values())


def test_of_a_vit_only_normalisations_and_the_absolute_embedding_do_not_decay():
    undecayed = {path for path, decays in mask_of(PRESETS_VIT["vit_small_patch16_224"]).items() if not decays}
    kept = re.compile(r"backbone\.(blocks\.norm[12]|norm)\.(bias|scale)|head\.pyramid\.norm\.(bias|scale)")
    assert {path for path in undecayed if not kept.fullmatch(path)} == {"backbone.position_embed"}
    assert len(undecayed) == 9
