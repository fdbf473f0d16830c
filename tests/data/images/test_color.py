"""Colour changes are torchvision's, pixel by pixel (recorded by `record_augment.py`), and are combined as there."""

import collections
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gauss_vit.data.images import color
from gauss_vit.data.images import image as images
from gauss_vit.data.images.color import ColorJitter
from gauss_vit.errors import ConfigError

RECORD = np.load(Path(__file__).parent / "augment.npz")
INPUT = Image.fromarray(RECORD["input"])
ADJUST = {
    "brightness": color.adjust_brightness,
    "contrast": color.adjust_contrast,
    "saturation": color.adjust_saturation,
    "hue": color.adjust_hue,
}
SIZE = (8, 12)


@pytest.mark.parametrize("case", [case for case in RECORD.files if case.startswith("adjust:")])
def test_pixels_are_those_of_torchvision(case):
    _, change, factor = case.split(":")
    # The same Pillow calls, and whole-number arithmetic for the hue: no pixel may differ at all.
    np.testing.assert_array_equal(images.to_array(ADJUST[change](INPUT, float(factor))), RECORD[case])


def test_no_jitter_is_the_image_itself():
    assert ColorJitter()(INPUT, size=SIZE, key=1) is INPUT


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue"])
def test_every_setting_changes_the_image_and_depends_on_the_key(name):
    jitter = ColorJitter(**{name: 0.4})
    results = [images.to_array(jitter(INPUT, size=SIZE, key=key)).tobytes() for key in range(12)]
    assert len(set(results)) > 6
    assert results == [images.to_array(jitter(INPUT, size=SIZE, key=key)).tobytes() for key in range(12)]


def test_factors_fill_their_range_and_orders_are_all_drawn(monkeypatch):
    calls = []
    for name in ("brightness", "contrast", "saturation"):

        def adjust(image, factor, name=name):
            calls.append((name, factor))
            return image

        monkeypatch.setattr(color, f"adjust_{name}", adjust)
    for key in range(1200):
        ColorJitter(brightness=0.4, contrast=0.4, saturation=1.5)(INPUT, size=SIZE, key=key)
    orders = collections.Counter(tuple(name for name, _ in calls[start : start + 3]) for start in range(0, 3600, 3))
    assert len(orders) == 6
    assert all(135 < count < 265 for count in orders.values())  # Five standard deviations around 200.
    for name, low, high in (("brightness", 0.6, 1.4), ("contrast", 0.6, 1.4), ("saturation", 0.0, 2.5)):
        factors = [factor for called, factor in calls if called == name]
        assert low <= min(factors) < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < max(factors) <= high
        assert abs(np.mean(factors) - (low + high) / 2) < 5 * (high - low) / np.sqrt(12 * 1200)


@pytest.mark.parametrize("settings", [{"brightness": -0.1}, {"saturation": float("inf")}, {"hue": 0.6}])
def test_settings_out_of_range_are_refused_by_name(settings):
    with pytest.raises(ConfigError, match=f"ColorJitter.{next(iter(settings))} must be"):
        ColorJitter(**settings)


def test_tiny_images_work():
    jitter = ColorJitter(brightness=1.0, contrast=1.0, saturation=1.0, hue=0.5)
    assert jitter(Image.new("RGB", (1, 1)), size=SIZE, key=0).size == (1, 1)
