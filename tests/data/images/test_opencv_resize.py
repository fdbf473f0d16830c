"""Resizes equal OpenCV's, bit for bit, also where only a box of the result is computed."""

from pathlib import Path

import numpy as np
import pytest

from gauss_vit.data.images.opencv_resize import resize_bilinear, resize_nearest

RECORD = np.load(Path(__file__).parent / "opencv.npz")
IMAGE = RECORD["image"]
NEW_SIZES = [tuple(map(int, name.split("_")[1].split("x"))) for name in RECORD if name.startswith("bilinear")]


def linear_in_floats(image, size):
    """Bilinear interpolation between pixel centres, whose ends continue, in float64."""
    for axis, (old, new) in enumerate(zip(image.shape, size, strict=False)):
        places = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
        before = np.floor(places).astype(int)
        after = np.minimum(before + 1, old - 1)
        share = (places - before).reshape(-1, *[1] * (2 - axis))
        image = np.take(image, before, axis) * (1 - share) + np.take(image, after, axis) * share
    return image


@pytest.mark.parametrize("size", NEW_SIZES, ids=str)
def test_images_are_resized_as_opencv_does(size):
    np.testing.assert_array_equal(resize_bilinear(IMAGE, size=size), RECORD[f"bilinear_{size[0]}x{size[1]}"])


@pytest.mark.parametrize("size", NEW_SIZES, ids=str)
def test_masks_are_resized_as_opencv_does(size):
    resized = resize_nearest(IMAGE[:, :, 0], size=size)
    np.testing.assert_array_equal(resized, RECORD[f"nearest_{size[0]}x{size[1]}"])


@pytest.mark.parametrize("image_size", [(1, 1), (1, 9), (200, 3), (17, 23)])
@pytest.mark.parametrize("size", [(1, 1), (40, 7), (3, 300)])
def test_pixels_are_interpolated_between_the_nearest_four(image_size, size):
    image = np.random.RandomState(0).randint(0, 256, (*image_size, 3)).astype(np.uint8)
    # Weights in units of 1 / 2048, and three roundings down before the last one to nearest, are less than a level.
    np.testing.assert_allclose(resize_bilinear(image, size=size), linear_in_floats(image.astype(float), size), atol=1)


@pytest.mark.parametrize("yxyx", [(0, 0, 61, 33), (5, 7, 6, 8), (60, 0, 61, 33), (10, 3, 50, 33)])
def test_a_box_is_that_of_the_whole(yxyx):
    top, left, bottom, right = yxyx
    box = resize_bilinear(IMAGE, size=(61, 33), yxyx=yxyx)
    np.testing.assert_array_equal(box, resize_bilinear(IMAGE, size=(61, 33))[top:bottom, left:right])
    box = resize_nearest(IMAGE[:, :, 0], size=(61, 33), yxyx=yxyx)
    np.testing.assert_array_equal(box, resize_nearest(IMAGE[:, :, 0], size=(61, 33))[top:bottom, left:right])


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_masks_keep_their_type_and_get_no_new_values(dtype):
    mask = np.asarray([[0, 5], [9, 255]], dtype)
    resized = resize_nearest(mask, size=(5, 3))
    assert resized.dtype == dtype and set(resized.ravel()) <= set(mask.ravel())


def test_an_image_at_its_own_size_stays():
    np.testing.assert_array_equal(resize_bilinear(IMAGE, size=IMAGE.shape[:2]), IMAGE)
    np.testing.assert_array_equal(resize_nearest(IMAGE[:, :, 0], size=IMAGE.shape[:2]), IMAGE[:, :, 0])
