"""The call that makes a config's stock model."""

import dataclasses

import pytest

from gauss_vit.heads.linear import LinearHead
from gauss_vit.models.presets import PRESETS, RELPOS_SMALL, SHARED_SMALL, VIT_BASE
from gauss_vit.position import RelativeTable
from gauss_vit.position.position import Position
from gauss_vit.weights.timm_call import timm_call
from tests.models.test_vit import PLAIN


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_made_by_a_name_of_the_same_model(name):
    call = timm_call(PRESETS[name], LinearHead())
    assert call is not None and call.startswith("timm.create_model('") and call.count(",") == 0
    assert PRESETS[call.split("'")[1]] == PRESETS[name]


def test_what_differs_becomes_an_argument():
    config = dataclasses.replace(
        RELPOS_SMALL, image_size=(160, 288), stochastic_depth=0.1, position=Position(terms=(RelativeTable(),))
    )
    assert timm_call(config, LinearHead(num_classes=10)) == (
        "timm.create_model('vit_relpos_small_patch16_224', rel_pos_type='bias', img_size=(160, 288), num_classes=10)"
    )
    separate = dataclasses.replace(SHARED_SMALL, position=Position(terms=(RelativeTable(),)))
    assert "rel_pos_type='bias', shared_rel_pos=False" in timm_call(separate, LinearHead())


def test_other_architectures_have_no_name():
    assert timm_call(PLAIN, LinearHead()) is None
    assert timm_call(dataclasses.replace(VIT_BASE, mlp_ratio=3.0), LinearHead()) is None
