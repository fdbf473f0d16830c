"""The training transform of detectors: its draws, within their ranges and evenly; pixels are in test_object_targets."""

import collections
import dataclasses

import numpy as np
import pytest
from PIL import Image

from gauss_vit.data import randomness
from gauss_vit.data.images.resize_or_crop import ResizeOrCrop
from gauss_vit.data.images.resize_to_fit import size_to_fit
from gauss_vit.errors import ConfigError

SMALL = ResizeOrCrop(
    short_sides=(24, 32), longest_side=50, short_sides_before_crop=(20, 28), crop_sides=(18, 25), crop_share=0.5
)
NUM_DRAWS = 4000


def draws(transform: ResizeOrCrop, image_size: tuple[int, int]) -> list:
    return [transform.steps(image_size, key=randomness.fold(number)) for number in range(NUM_DRAWS)]


@pytest.mark.parametrize("image_size", [(30, 40), (90, 30), (10, 12)])
def test_a_call_makes_what_its_moves_say(image_size):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*image_size, 3), np.uint8))
    for key in range(20):
        size = image_size
        for move in SMALL.moves(image_size, size=(64, 64), key=key):
            size = move.size_after(size)
        result = SMALL(image, size=(64, 64), key=key)
        assert (result.height, result.width) == size
        assert max(size) <= 50 and min(size) <= 32


def test_every_short_side_is_drawn_as_often():
    transform = dataclasses.replace(SMALL, crop_share=0.0)
    counts = collections.Counter(steps[-1].scaled_size for steps in draws(transform, (30, 40)))
    assert set(counts) == {(24, 32), (32, 43)}
    # Five standard deviations of a fair coin.
    assert abs(counts[24, 32] - NUM_DRAWS / 2) < 5 * np.sqrt(NUM_DRAWS / 4)


def test_crops_are_drawn_evenly_within_the_image():
    found = [steps for steps in draws(SMALL, (30, 40)) if len(steps) == 2]
    assert abs(len(found) - NUM_DRAWS / 2) < 5 * np.sqrt(NUM_DRAWS / 4)
    heights, tops = collections.Counter(), set()
    for crop, resize in found:
        top, left, bottom, right = crop.yxyx
        assert crop.scaled_size in {size_to_fit((30, 40), scale=(50, side)) for side in (20, 28)}
        assert 0 <= top < bottom <= crop.scaled_size[0] and 0 <= left < right <= crop.scaled_size[1]
        assert min(18, crop.scaled_size[0]) <= bottom - top <= min(25, crop.scaled_size[0])
        assert resize.scaled_size in {size_to_fit((bottom - top, right - left), scale=(50, side)) for side in (24, 32)}
        if crop.scaled_size[0] == 28:
            heights[bottom - top] += 1
            tops.add((bottom - top, top))
    assert set(heights) == set(range(18, 26))
    mean = sum(heights.values()) / 8
    assert all(abs(count - mean) < 5 * np.sqrt(mean) for count in heights.values())
    assert {top for height, top in tops if height == 25} == set(range(4))


def test_an_image_that_is_smaller_than_the_crop_is_not_cropped():
    transform = dataclasses.replace(SMALL, crop_share=1.0, crop_sides=(40, 45))
    for crop, _ in draws(transform, (30, 40))[:50]:
        assert crop.yxyx[:2] == (0, 0) or crop.scaled_size[1] > 40
        assert crop.yxyx[0] == 0 and crop.yxyx[2] == crop.scaled_size[0]


def test_the_recipe_is_the_default():
    recipe = ResizeOrCrop()
    assert recipe.short_sides == tuple(range(480, 801, 32))
    assert (recipe.longest_side, recipe.short_sides_before_crop) == (1333, (400, 500, 600))
    assert (recipe.crop_sides, recipe.crop_share) == ((384, 600), 0.5)


@pytest.mark.parametrize(
    "changes",
    [
        {"short_sides": ()},
        {"short_sides": (0,)},
        {"short_sides_before_crop": ()},
        {"longest_side": 31},
        {"longest_side": 9000},
        {"crop_share": 1.1},
        {"crop_share": -0.1},
        {"crop_sides": (25, 18)},
        {"crop_sides": (0, 18)},
    ],
)
def test_impossible_values_are_refused(changes):
    with pytest.raises(ConfigError):
        dataclasses.replace(SMALL, **changes)
