"""The operations of RandAugment and AutoAugment are timm's, pixel by pixel; recorded by `record_augment.py`."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gauss_vit.data.images import augment_operations as operations
from gauss_vit.data.images import image as images
from gauss_vit.data.images.augment import AUTO_AUGMENT, RAND_AUGMENT
from gauss_vit.data.images.augment_operations import Stroke

RECORD = np.load(Path(__file__).parent / "augment.npz")
INPUT = Image.fromarray(RECORD["input"])
OURS = {
    "AutoContrast": operations.auto_contrast,
    "Equalize": operations.equalize,
    "Invert": operations.invert,
    "Rotate": operations.rotate,
    "PosterizeOriginal": operations.posterize_original,
    "PosterizeIncreasing": operations.posterize_increasing,
    "Solarize": operations.solarize,
    "SolarizeIncreasing": operations.solarize_increasing,
    "SolarizeAdd": operations.solarize_add,
    "Color": operations.color,
    "Contrast": operations.contrast,
    "Sharpness": operations.sharpness,
    "ColorIncreasing": operations.color_increasing,
    "ContrastIncreasing": operations.contrast_increasing,
    "BrightnessIncreasing": operations.brightness_increasing,
    "SharpnessIncreasing": operations.sharpness_increasing,
    "ShearX": operations.shear_x,
    "ShearY": operations.shear_y,
    "TranslateXRel": operations.translate_x,
    "TranslateYRel": operations.translate_y,
}

MOVING = {"Rotate", "ShearX", "ShearY", "TranslateXRel", "TranslateYRel"}


@pytest.mark.parametrize("name", OURS)
def test_pixels_are_those_of_timm(name):
    cases = [key for key in RECORD.files if key.startswith(f"timm:{name}:")]
    assert len(cases) >= 4
    for case in cases:
        _, _, level, sign, resample = case.split(":")
        stroke = Stroke(
            level=float(level), is_negative=sign == "-1", resample=images.FILTERS[resample], fill=(124, 116, 104)
        )
        # The same Pillow calls with the same arguments: no pixel may differ at all.
        np.testing.assert_array_equal(images.to_array(OURS[name](INPUT, stroke)), RECORD[case], err_msg=case)


def test_rand_augment_chooses_from_the_operations_that_timm_chooses_from():
    assert [OURS[name] for name in RECORD["rand_augment"]] == list(RAND_AUGMENT)


def test_the_policy_of_auto_augment_is_that_of_timm():
    for ours, theirs in zip(AUTO_AUGMENT, RECORD["auto_augment"], strict=True):
        parts = [text.split(":") for text in theirs]
        assert ours == tuple((OURS[name], float(share), float(magnitude)) for name, share, magnitude in parts)


@pytest.mark.parametrize("name", ["Rotate", "ShearX", "ShearY", "TranslateXRel", "TranslateYRel", "ColorIncreasing"])
def test_severity_zero_is_the_image(name):
    stroke = Stroke(level=0.0, is_negative=False, resample=Image.Resampling.BICUBIC, fill=(0, 0, 0))
    np.testing.assert_array_equal(images.to_array(OURS[name](INPUT, stroke)), RECORD["input"])


def test_a_translation_uncovers_the_fill():
    stroke = Stroke(level=10.0, is_negative=False, resample=Image.Resampling.BILINEAR, fill=(1, 2, 3))
    moved = images.to_array(operations.translate_x(INPUT, stroke))
    # 0.45 of 18 px are 8.1: the last 8 columns come from outside.
    np.testing.assert_array_equal(moved[:, -8:], np.broadcast_to(np.uint8([1, 2, 3]), (13, 8, 3)))


@pytest.mark.parametrize(("level", "num_values"), [(0.0, 16), (5.0, 4), (10.0, 1)])
def test_posterizing_leaves_two_to_the_power_of_the_bits(level, num_values):
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, 2))
    stroke = Stroke(level=level, is_negative=False, resample=Image.Resampling.BICUBIC, fill=(0, 0, 0))
    assert len(np.unique(images.to_array(operations.posterize_increasing(ramp, stroke)))) == num_values


@pytest.mark.parametrize("name", OURS)
def test_a_mirrored_stroke_makes_the_mirror_image_of_what_it_makes_of_the_mirror_image(name):
    noise = Image.fromarray(np.random.RandomState(0).randint(0, 256, (33, 47, 3), np.uint8))
    cases = itertools.product((INPUT, noise), (0.0, 5.0, 9.3), (False, True), images.FILTERS.values())
    for image, level, sign, resample in cases:
        stroke = Stroke(level=level, is_negative=sign, resample=resample, fill=(124, 116, 104))
        mirrored = OURS[name](image, dataclasses.replace(stroke, is_mirrored=True))
        wrong = np.abs(np.asarray(images.flip(mirrored), int) - np.asarray(OURS[name](images.flip(image), stroke), int))
        # Pillow cuts what it interpolates to whole levels, so that the last bit of a double may show.
        assert wrong.max() <= (name in MOVING) and np.mean(wrong > 0) < 0.02
