"""Photometric distortion takes MMSegmentation's steps, in its order and with its odds."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gauss_vit.data.images.photometric import Distortion, PhotometricDistortion
from gauss_vit.errors import ConfigError
from tests.data.images.recorded_steps import STEPS

RECORD = np.load(Path(__file__).parent / "opencv.npz")
IMAGE = Image.fromarray(RECORD["undistorted"])


@pytest.fixture(scope="module")
def drawn() -> list[Distortion]:
    """The steps of many images."""
    return [PhotometricDistortion().drawn(key) for key in range(1500)]


@pytest.mark.parametrize("index", range(len(STEPS)))
def test_steps_are_those_of_mmsegmentation(index):
    np.testing.assert_array_equal(Distortion(**STEPS[index])(IMAGE), RECORD["distorted"][index])


def test_without_steps_an_image_stays():
    np.testing.assert_array_equal(Distortion()(IMAGE), IMAGE)


@pytest.mark.parametrize(
    ("name", "low", "high"), [("brightness", -32, 32), ("contrast", 0.5, 1.5), ("saturation", 0.5, 1.5)]
)
def test_amounts_are_uniform_and_given_to_half_of_the_images(drawn, name, low, high):
    amounts = np.asarray([vars(steps)[name] for steps in drawn if vars(steps)[name] is not None])
    assert abs(len(amounts) / len(drawn) - 0.5) < 4 * 0.5 / len(drawn) ** 0.5
    assert low <= amounts.min() and amounts.max() < high
    quartiles = np.quantile((amounts - low) / (high - low), [0.25, 0.5, 0.75])
    np.testing.assert_allclose(quartiles, [0.25, 0.5, 0.75], atol=4 * 0.5 / len(amounts) ** 0.5)


def test_hues_are_whole_numbers_without_the_last(drawn):
    hues = {steps.hue for steps in drawn}
    assert hues == {None, *range(-18, 18)}


def test_coins_are_independent(drawn):
    coins = np.asarray(
        [
            (
                steps.brightness is None,
                steps.contrast is None,
                steps.is_contrast_first,
                steps.saturation is None,
                steps.hue is None,
            )
            for steps in drawn
        ]
    )
    correlations = np.corrcoef(coins.T) - np.eye(coins.shape[1])
    assert np.abs(correlations).max() < 4 / len(drawn) ** 0.5


def test_contrast_comes_first_or_last():
    bright = np.full((2, 3, 3), (200, 100, 50), np.uint8)
    first, last = (
        np.asarray(Distortion(contrast=1.4, saturation=0.5, is_contrast_first=is_first)(Image.fromarray(bright)))
        for is_first in (True, False)
    )
    assert (first != last).any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 70), (70, 1)])
def test_tiny_images_keep_their_size_and_the_mirror_image_is_the_mirrored(shape):
    image = Image.fromarray(np.random.RandomState(1).randint(0, 256, (*shape, 3), np.uint8))
    transform, flipped = PhotometricDistortion(), image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for key in range(20):
        changed = np.asarray(transform(image, size=(8, 8), key=key))
        assert changed.shape == (*shape, 3)
        np.testing.assert_array_equal(np.asarray(transform.mirrored(flipped, size=(8, 8), key=key))[:, ::-1], changed)


@pytest.mark.parametrize(
    "changes", [{"brightness": -1.0}, {"contrast": (1.5, 0.5)}, {"saturation": (0.5, float("inf"))}, {"hue": 91}]
)
def test_ranges_are_checked(changes):
    (name,) = changes
    with pytest.raises(ConfigError, match=f"PhotometricDistortion.{name} must be"):
        PhotometricDistortion(**changes)


def test_a_hue_of_zero_turns_nothing():
    assert {PhotometricDistortion(hue=0).drawn(key).hue for key in range(20)} == {None}
