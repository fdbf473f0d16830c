"""The closed tables of names."""

import dataclasses

import jax
import pytest

from gauss_vit.errors import CheckpointError, ConfigError
from gauss_vit.models.construct import abstract
from gauss_vit.models.presets import PRESETS
from gauss_vit.position import Gaussian, RelativeTable
from gauss_vit.position.absolute import AbsoluteEmbedding
from gauss_vit.position.position import Position, with_terms
from gauss_vit.weights.names import naming
from gauss_vit.weights.names.name_tables import hugging_face_rules, rules_named, timm_rules
from tests.models.test_vit import PLAIN
from tests.networks import classifier
from tests.weights.hugging_face_models import VIT

OF_EVERY_KIND = [
    *(name for name in PRESETS if ("base" in name or "s24" in name) and "lip" not in name),
    "vit_giant_patch14_reg4_dinov2",
    "vit_base_patch32_clip_quickgelu_224",
    "vit_base_patch16_siglip_224",
    "eva02_small_patch14_224",
    "vit_small_plus_patch16_dinov3",
]


@pytest.mark.parametrize("name", OF_EVERY_KIND)
def test_every_parameter_has_one_name(name):
    target = abstract(classifier(PRESETS[name]))[1]
    wanted = naming.expected(timm_rules(classifier(PRESETS[name])), target)
    sizes = sum(int(jax.numpy.prod(jax.numpy.asarray(each.shape))) for each in wanted.values())
    assert sizes == sum(leaf.size for leaf in jax.tree.leaves(target))


def test_unknown_tables_are_refused():
    with pytest.raises(
        ConfigError,
        match=r"unknown weight format 'os\.system' DO: use one of timm, hugging_face, mmseg, mmdet, stablehlo",
    ):
        rules_named("os.system")


def test_gaussian_without_baking_has_no_name():
    config = with_terms(VIT, Gaussian())
    for rules in (timm_rules, hugging_face_rules):
        with pytest.raises(CheckpointError, match="without a name in the target format"):
            naming.expected(rules(classifier(config)), abstract(classifier(config))[1])


def test_models_that_timm_lacks_are_refused():
    with pytest.raises(CheckpointError, match="relative table beside absolute embeddings"):
        position = Position(terms=(RelativeTable(),), absolute=AbsoluteEmbedding())
        timm_rules(classifier(dataclasses.replace(PLAIN, position=position)))
