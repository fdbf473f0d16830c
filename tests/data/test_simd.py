"""Resizing with vector instructions: Pillow's pixels within rounding, and refused where the library is missing."""

import numpy as np
import pytest
from PIL import Image

from gauss_vit.data import image as images
from gauss_vit.data import simd
from gauss_vit.data.transforms import RandomResizedCrop
from gauss_vit.errors import ConfigError

WAVES = np.sin(np.arange(90)[:, None, None] / 7 + np.arange(130)[None, :, None] / 11 + np.arange(3))
SMOOTH = Image.fromarray(np.round(127.5 + 120 * WAVES).astype(np.uint8))
NOISE = Image.fromarray(np.random.RandomState(0).randint(0, 256, (90, 130, 3), np.uint8))
SIZES = [(32, 32), (40, 24), (200, 180), (90, 60), (45, 130), (1, 1), (90, 130)]


def difference(image, *, size, interpolation):
    """How far the values are from Pillow's, in levels."""
    ours = np.asarray(simd.resize(image, size=size, interpolation=interpolation), int)
    return np.abs(ours - np.asarray(images.resize(image, size=size, interpolation=interpolation), int))


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", SIZES)
def test_smooth_images_are_pillows_within_a_level(size, interpolation):
    wrong = difference(SMOOTH, size=size, interpolation=interpolation)
    assert wrong.shape == (*size, 3)
    assert wrong.max() <= 1
    assert wrong.mean() < 0.01


@pytest.mark.parametrize("size", SIZES)
def test_noise_stays_near_pillow(size):
    # Bicubic filters overshoot at every pixel of it: the worst case, in which the order of the passes shows most.
    wrong = difference(NOISE, size=size, interpolation="bicubic")
    assert wrong.max() <= 2
    assert wrong.mean() < 0.01


def test_a_flat_image_stays_flat_and_an_equal_size_untouched():
    flat = Image.new("RGB", (50, 30), (10, 100, 200))
    assert simd.resize(flat, size=(17, 40), interpolation="bicubic").getcolors() == [(17 * 40, (10, 100, 200))]
    assert simd.resize(flat, size=(30, 50), interpolation="bicubic") is flat


def test_the_crop_draws_the_same_boxes_whatever_resizes():
    pixels = {
        resampler: [
            np.asarray(RandomResizedCrop(resampler=resampler)(SMOOTH, size=(24, 32), key=key), int) for key in range(16)
        ]
        for resampler in ("pillow", "simd")
    }
    assert np.abs(np.subtract(pixels["pillow"], pixels["simd"])).max() <= 1


def test_a_missing_library_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setattr(simd, "cykooz_resizer", None)
    with pytest.raises(ConfigError, match=r"needs cykooz-resizer.*pip install"):
        RandomResizedCrop(resampler="simd")(SMOOTH, size=(24, 32), key=0)
