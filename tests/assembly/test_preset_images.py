"""Presets prepare images as timm prepares them for its weights, and know the names of their classes."""

import pytest

from gauss_vit.assembly.preset_images import CENTERED, IMAGENET, imagenet_classes, preparation, pretrained_of
from gauss_vit.errors import ConfigError
from gauss_vit.models.presets import PRESETS

# timm 1.0.31: get_pretrained_cfg(name).mean and .crop_pct; every interpolation is bicubic.
EXPECTED = {
    "vit_base_patch16_224": (CENTERED, 0.9),
    "vit_base_patch16_224.augreg_in1k": (CENTERED, 0.9),
    "vit_base_patch16_224.dino": (IMAGENET, 0.9),
    "vit_base_patch16_384": (CENTERED, 1.0),
    "vit_small_patch8_224": (IMAGENET, 0.9),
    "vit_relpos_small_patch16_224": (CENTERED, 0.9),
    "vit_srelpos_small_patch16_224": (CENTERED, 0.9),
    "beit_large_patch16_384": (CENTERED, 1.0),
    "deit_tiny_patch16_224": (IMAGENET, 0.9),
    "deit3_small_patch16_224": (IMAGENET, 0.9),
    "deit3_small_patch16_224.fb_in22k_ft_in1k": (IMAGENET, 1.0),
    "deit3_small_patch16_384": (IMAGENET, 1.0),
    "cait_xxs24_224": (IMAGENET, 1.0),
    "swin_small_patch4_window7_224": (IMAGENET, 0.9),
    "swinv2_base_window16_256": (IMAGENET, 0.9),
    "swinv2_cr_small_ns_224.sw_in1k": (IMAGENET, 0.9),
    "swinv2_cr_base_384": (IMAGENET, 1.0),
    "xcit_small_24_p16_224.fb_in1k": (IMAGENET, 1.0),
    "xcit_large_24_p8_384": (IMAGENET, 1.0),
}


# Architectures whose weights timm does not publish.
UNTRAINED = (
    "vit_relpos_base_patch16_cls_224",
    "vit_relpos_base_patch16_plus_240",
    "vit_relpos_small_patch16_rpn_224",
    "vit_relpos_base_patch16_rpn_224",
    "swinv2_cr_tiny_224",
    "swinv2_cr_tiny_384",
    "swinv2_cr_small_384",
    "swinv2_cr_small_ns_256",
    "swinv2_cr_base_224",
    "swinv2_cr_base_384",
    "swinv2_cr_base_ns_224",
    "swinv2_cr_large_224",
    "swinv2_cr_large_384",
)
DINO_SIDES = {"dinov2": 518, "dinov3": 256, "qkvb": 256}


@pytest.mark.parametrize("name", EXPECTED)
def test_preparation_is_timms(name):
    found = preparation(name)
    assert (found.normalization, found.transform.crop_fraction) == EXPECTED[name]
    assert found.transform.interpolation == "bicubic"


def test_every_preset_has_weights_of_timm_and_the_default_is_the_first():
    for name, config in PRESETS.items():
        tags = pretrained_of(name)
        assert bool(tags) == (name not in UNTRAINED)
        assert preparation(name) == tags[0] if tags else preparation(name).tag == ""
        assert len({weights.tag for weights in tags}) == len(tags)
        assert config.image_size == ((DINO_SIDES.get(name.rsplit("_", 1)[1]) or int(name.rsplit("_", 1)[1])),) * 2
        assert all(preparation(f"{name}.{weights.tag}") == weights for weights in tags)


@pytest.mark.parametrize(
    ("name", "crop_fraction", "stretches"),
    [
        ("vit_base_patch16_clip_384", 1.0, True),
        ("vit_base_patch16_clip_384.openai_ft_in12k_in1k", 0.95, True),
        ("vit_base_patch16_clip_224", 0.95, False),
        ("vit_so400m_patch14_siglip_378", 0.9, False),
        ("eva02_base_patch14_448", 1.0, True),
        ("vit_so400m_patch14_siglip_378.webli_ft_in1k", 1.0, True),
    ],
)
def test_some_weights_stretch_their_images(name, crop_fraction, stretches):
    transform = preparation(name).transform
    assert (transform.crop_fraction, transform.stretches) == (crop_fraction, stretches)


def test_tag_decides_the_number_of_classes_and_their_names():
    of_1k, of_21k = (preparation(f"vit_base_patch16_224.augreg_in{kind}") for kind in ("1k", "21k"))
    assert (of_1k.num_classes, of_1k.class_names[281]) == (1000, "tabby")
    assert (of_21k.num_classes, of_21k.class_names) == (21843, ())


def test_names_of_imagenet_are_a_thousand_different_ones():
    names = imagenet_classes()
    assert len(names) == len(set(names)) == 1000
    assert (names[0], names[134], names[517], names[999]) == ("tench", "crane bird", "crane", "toilet tissue")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vit_base_patch16_224.augreg_in1", "DO: try vit_base_patch16_224.augreg_in1k"),
        ("vit_bas_patch16_224.augreg_in1k", "unknown model 'vit_bas_patch16_224' DO: try vit_base_patch16_224"),
        ("deit_tiny_patch16_224.x", "choose a tag of fb_in1k"),
        ("swinv2_cr_base_384.x", "timm has no weights 'x' of swinv2_cr_base_384 DO: try swinv2_cr_base_384"),
    ],
)
def test_unknown_names_are_answered_by_the_nearest(name: str, expected: str):
    with pytest.raises(ConfigError) as caught:
        preparation(name)
    assert expected in str(caught.value)
