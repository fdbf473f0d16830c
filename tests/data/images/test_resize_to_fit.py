"""Whole images fit a scale as MMCV's do, whatever their proportions."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gauss_vit.data.images.opencv_resize import resize_bilinear
from gauss_vit.data.images.preprocess import preprocess_whole
from gauss_vit.data.images.resize_to_fit import ResizeToFit, size_to_fit
from gauss_vit.data.images.transforms import ResizeCenterCrop, Transform, WholeImageTransform
from gauss_vit.errors import ConfigError, DataError
from tests.data.mask_samples import mask_source

RECORD = np.load(Path(__file__).parent / "opencv.npz")


def test_sizes_are_those_of_mmcv_but_never_zero():
    for (height, width, *scale), fitted in zip(RECORD["sizes"].tolist(), RECORD["fitted"], strict=True):
        assert size_to_fit((height, width), scale=tuple(scale)) == tuple(np.maximum(fitted, 1))


@pytest.mark.parametrize(
    ("image_size", "expected"),
    [
        ((512, 683), (512, 683)),
        ((1000, 500), (1024, 512)),
        ((1, 1), (512, 512)),
        ((1, 90), (23, 2048)),
        ((9000, 1), (2048, 1)),
    ],
)
def test_the_recipes_scale_gives_known_sizes(image_size, expected):
    transform = ResizeToFit()
    assert transform.size_of(image_size) == expected
    assert transform(Image.new("RGB", image_size[::-1]), size=(8, 8)).size == expected[::-1]


@pytest.mark.parametrize("multiple", [1, 32, 128])
def test_sides_are_rounded_up_to_a_multiple(multiple):
    plain, rounded = ResizeToFit(), ResizeToFit(multiple=multiple)
    for image_size in ((512, 683), (700, 512), (30, 40), (5, 200)):
        sides = zip(plain.size_of(image_size), rounded.size_of(image_size), strict=True)
        assert all(new % multiple == 0 and 0 <= new - side < multiple for side, new in sides)


def test_pixels_are_those_of_opencv():
    image = Image.fromarray(RECORD["image"])
    resized = ResizeToFit(scale=(104, 74))(image, size=(1, 1))
    np.testing.assert_array_equal(resized, RECORD["bilinear_74x104"])


def test_masks_and_their_sizes_stay():
    example = mask_source((20, 30))[0]
    view = preprocess_whole(example, transform=ResizeToFit(scale=(64, 16)), image_size=(16, 24))
    np.testing.assert_array_equal(view.targets.mask.values, example.targets.mask.values)
    assert view.pixels.shape == (16, 24, 3) and not view.is_flipped


def test_an_image_that_is_not_as_planned_is_named():
    example = mask_source((20, 30))[0]
    with pytest.raises(DataError, match="list record 0: the image is 20 x 30 px, which its header did not say"):
        preprocess_whole(example, transform=ResizeToFit(scale=(64, 16)), image_size=(16, 16))


def test_images_of_one_size_are_cropped_where_the_model_needs_them():
    transform = ResizeToFit()
    assert isinstance(transform, Transform) and isinstance(transform, WholeImageTransform)
    assert transform.at_model_size == ResizeCenterCrop(crop_fraction=1.0, interpolation="bilinear")
    assert ResizeCenterCrop(crop_fraction=0.8).at_model_size == ResizeCenterCrop(crop_fraction=0.8)
    assert not isinstance(ResizeCenterCrop(), WholeImageTransform)


@pytest.mark.parametrize("changes", [{"scale": (2048, 0)}, {"scale": (9000, 512)}, {"multiple": 0}, {"multiple": 513}])
def test_ranges_are_checked(changes):
    (name,) = changes
    with pytest.raises(ConfigError, match=f"ResizeToFit.{name} must be in"):
        ResizeToFit(**changes)


def test_a_resize_computes_what_the_transform_returns():
    pixels = np.random.RandomState(0).randint(0, 256, (30, 20, 3)).astype(np.uint8)
    resized = ResizeToFit(scale=(64, 16))(Image.fromarray(pixels), size=(1, 1))
    np.testing.assert_array_equal(resized, resize_bilinear(pixels, size=(24, 16)))
