"""Rendering: every transform in its order, and flips left to the device exactly where none of them can tell."""

import numpy as np
import pytest
from PIL import Image

from gauss_vit.data import randomness
from gauss_vit.data.images import image as images
from gauss_vit.data.images.augment import AutoAugment, RandAugment
from gauss_vit.data.images.color import ColorJitter
from gauss_vit.data.images.preprocess import preprocess, preprocess_unflipped
from gauss_vit.data.images.transforms import (
    CenterCrop,
    MirroredTransform,
    RandomFlip,
    RandomResizedCrop,
    RandomRotation,
    RandomShift,
    Resize,
    ResizeCenterCrop,
)
from tests.data.samples import noise_source

(EXAMPLE,) = [noise_source(1)[0]]
SIZE = (6, 9)
FLIP = RandomFlip(probability=1.0)
JITTER = ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)
MIRRORED = [JITTER, RandAugment(), AutoAugment()]
OTHERS = [
    RandomResizedCrop(),
    RandomShift(max_shift_px=2),
    RandomRotation(degrees=15.0),
    Resize(),
    CenterCrop(),
    ResizeCenterCrop(),
]


def by_name(transform):
    """Names a case by its class."""
    return type(transform).__name__


def one_by_one(*transforms, key):
    """The pixels of one transform after the other, each on an image that the flips before it have flipped."""
    image = images.decode(EXAMPLE.image, name="noise")
    for place, transform in enumerate(transforms):
        image = transform(image, size=SIZE, key=randomness.fold(key, place))
    return np.asarray(image)


def unflipped(*transforms, key=0):
    """What is left for the device."""
    return preprocess_unflipped(EXAMPLE, transforms=transforms, image_size=SIZE, key=key)


@pytest.mark.parametrize("transform", MIRRORED, ids=by_name)
def test_flips_wait_for_what_has_a_mirror_image(transform):
    for key in range(30):
        rendered = unflipped(Resize(), FLIP, transform, key=key)
        assert rendered.is_flipped
        expected = one_by_one(Resize(), FLIP, transform, key=key)
        np.testing.assert_array_equal(rendered.pixels[:, ::-1], expected)


@pytest.mark.parametrize("transform", OTHERS, ids=by_name)
def test_other_transforms_find_their_image_flipped(transform):
    assert not isinstance(transform, MirroredTransform)
    for key in range(30):
        rendered = unflipped(Resize(), FLIP, transform, key=key)
        assert not rendered.is_flipped
        np.testing.assert_array_equal(rendered.pixels, one_by_one(Resize(), FLIP, transform, key=key))


def test_two_flips_are_none_wherever_they_come():
    for transforms in ((Resize(), FLIP, FLIP), (Resize(), FLIP, JITTER, FLIP), (FLIP, FLIP, Resize())):
        rendered = unflipped(*transforms)
        assert not rendered.is_flipped
        np.testing.assert_array_equal(rendered.pixels, one_by_one(*transforms, key=0))


@pytest.mark.parametrize("crop", [RandomResizedCrop(), RandomResizedCrop(resampler="simd"), Resize()])
def test_only_the_images_of_which_it_is_drawn_are_flipped(crop):
    transforms = (crop, RandomFlip(probability=0.3))
    rendered = [unflipped(*transforms, key=key) for key in range(200)]
    drawn = [transforms[1].is_drawn(randomness.fold(key, 1)) for key in range(200)]
    assert [one.is_flipped for one in rendered] == drawn
    assert 27 < sum(drawn) < 93  # Five standard deviations around 60.
    np.testing.assert_array_equal(
        [one.pixels for one in rendered[:9]], [unflipped(crop, key=k).pixels for k in range(9)]
    )


@pytest.mark.parametrize("transforms", [(Resize(), FLIP), (Resize(), FLIP, JITTER), (FLIP, Resize())])
def test_render_leaves_no_flip(transforms):
    rendered = preprocess(EXAMPLE, transforms=transforms, image_size=SIZE, key=3).pixels
    np.testing.assert_array_equal(rendered, one_by_one(*transforms, key=3))
    assert not np.array_equal(
        rendered, np.asarray(Image.fromarray(rendered).transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    )


def test_what_is_made_of_a_flip_is_a_transform_like_others():
    class Upended(RandomFlip):
        def __call__(self, image, *, size, key):
            return image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)

    rendered = preprocess_unflipped(EXAMPLE, transforms=(Resize(), Upended(probability=1.0)), image_size=SIZE, key=3)
    plain = preprocess(EXAMPLE, transforms=(Resize(),), image_size=SIZE, key=3).pixels
    assert not rendered.is_flipped
    np.testing.assert_array_equal(rendered.pixels, plain[::-1])
