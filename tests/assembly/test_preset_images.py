"""Presets prepare images as timm prepares them for its weights."""

import pytest

from gauss_vit.assembly.preset_images import CENTERED, IMAGENET, preparation

# timm 1.0.31: get_pretrained_cfg(name).mean and .crop_pct; every interpolation is bicubic.
EXPECTED = {
    "vit_base_patch16_224": (CENTERED, 0.9),
    "vit_base_patch16_384": (CENTERED, 1.0),
    "vit_small_patch8_224": (IMAGENET, 0.9),
    "vit_relpos_small_patch16_224": (CENTERED, 0.9),
    "vit_srelpos_small_patch16_224": (CENTERED, 0.9),
    "beit_large_patch16_384": (CENTERED, 1.0),
    "deit_tiny_patch16_224": (IMAGENET, 0.9),
    "deit3_small_patch16_384": (IMAGENET, 1.0),
    "cait_xxs24_224": (IMAGENET, 1.0),
    "swin_small_patch4_window7_224": (IMAGENET, 0.9),
    "swinv2_base_window16_256": (IMAGENET, 0.9),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_preparation_is_timms(name):
    found = preparation(name)
    assert (found.normalization, found.transform.crop_fraction) == EXPECTED[name]
    assert found.transform.interpolation == "bicubic"
