"""Colours pass to hue, saturation and value and back as in OpenCV."""

import colorsys
from pathlib import Path

import numpy as np

from gauss_vit.data.images.opencv_hsv import from_hsv, to_hsv

RECORD = np.load(Path(__file__).parent / "opencv.npz")


def planes(pixels):
    """Three arrays [height, width]."""
    return [np.ascontiguousarray(pixels[:, :, channel]) for channel in range(3)]


def test_hue_saturation_and_value_are_those_of_opencv():
    np.testing.assert_array_equal(np.stack(to_hsv(RECORD["colours"]), -1), RECORD["hsv"])


def test_colours_are_those_of_opencv():
    np.testing.assert_array_equal(from_hsv(*planes(RECORD["hues"])), RECORD["rgb"])


def test_colours_are_those_of_the_definition_rounded_down():
    hues, saturations, values = planes(RECORD["hues"][::40])
    expected = [
        colorsys.hsv_to_rgb(hue / 180, saturation / 255, value / 255)
        for hue, saturation, value in zip(hues.ravel(), saturations.ravel(), values.ravel(), strict=True)
    ]
    difference = 255 * np.asarray(expected).reshape(*hues.shape, 3) - from_hsv(hues, saturations, values)
    assert difference.min() > -1e-4 and difference.max() < 1 + 1e-4


def test_greys_have_no_hue_and_stay():
    greys = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(1, 256, 3)
    hue, saturation, value = to_hsv(greys)
    assert not hue.any() and not saturation.any()
    np.testing.assert_array_equal(value, greys[:, :, 0])
    np.testing.assert_array_equal(from_hsv(hue, saturation, value), greys)
