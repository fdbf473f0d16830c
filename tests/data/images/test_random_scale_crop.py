"""Scale, crop and pad: MMSegmentation's choice of the crop, and images and masks that stay together."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gauss_vit.batches import Boxes, Mask, MaskTargets
from gauss_vit.data.examples import Example
from gauss_vit.data.images import random_scale_crop
from gauss_vit.data.images.geometry import ScaledBox
from gauss_vit.data.images.guided import with_choices
from gauss_vit.data.images.photometric import PhotometricDistortion
from gauss_vit.data.images.preprocess import preprocess, preprocess_unflipped
from gauss_vit.data.images.random_scale_crop import Pad, RandomScaleCrop, ScaledCrop
from gauss_vit.data.images.transforms import RandomFlip
from gauss_vit.errors import ConfigError
from tests.data.samples import encode

RECORD = np.load(Path(__file__).parent / "opencv.npz")
SIZE = (24, 40)
CROP = RandomScaleCrop(scale=(128, 32))
RECIPE = (CROP, RandomFlip(), PhotometricDistortion(), Pad())
MASK = np.kron(np.random.RandomState(0).randint(0, 9, (7, 9)), np.ones((6, 5))).astype(np.uint8)


def example_of(mask):
    """An image that shows its mask as a grey level, ten for a class."""
    image = np.repeat(10 * mask[:, :, None], 3, axis=2)
    return Example(image=encode(image), targets=MaskTargets(mask=Mask(values=mask)), name="photo")


@pytest.mark.parametrize("index", range(len(RECORD["masks"])))
def test_the_crop_is_the_one_that_mmsegmentation_takes(index, monkeypatch):
    offsets = RECORD["offsets"][index].tolist()
    drawn = [offset for place in offsets for offset in place]
    monkeypatch.setattr(random_scale_crop.randomness, "below", lambda bound, *, key, draw: drawn[draw - 1])
    mask = Mask(values=RECORD["masks"][index])
    crop = RandomScaleCrop(scale=mask.values.shape, ratio=(1.0, 1.0)).guided(mask, size=(24, 24), key=0)
    top, left = offsets[RECORD["chosen"][index]]
    assert crop == ScaledCrop(scaled_size=mask.values.shape, yxyx=(top, left, top + 24, left + 24))


def test_ratios_are_uniform_and_limits_are_rounded_down():
    sizes = np.asarray([next(CROP.crops((32, 128), size=SIZE, key=key)).scaled_size for key in range(2000)])
    low, high = (int(32 * ratio) for ratio in CROP.ratio)
    assert (sizes[:, 0].min(), sizes[:, 0].max()) == (low, high - 1)
    np.testing.assert_allclose(np.quantile(sizes[:, 0], [0.25, 0.5, 0.75]), [28, 40, 52], atol=2.5)
    # The long limit, rounded down on its own, lets the long side be at most four times the short one.
    assert (sizes[:, 1] <= 4 * sizes[:, 0] + 3).all() and (sizes[:, 1] > 4 * sizes[:, 0] - 3).all()


def test_places_are_uniform_over_all_that_fit():
    crops = [next(CROP.crops((60, 90), size=(30, 46), key=key)) for key in range(4000)]
    found = {(crop.scaled_size, crop.yxyx[:2]) for crop in crops if crop.scaled_size == (32, 48)}
    assert found == {((32, 48), place) for place in itertools.product(range(3), range(3))}


def test_one_class_in_view_is_avoided_where_ten_draws_allow():
    mask = np.zeros((64, 64), np.uint8)
    mask[:, 48:] = 1
    crop = RandomScaleCrop(scale=(64, 64), ratio=(1.0, 1.0))
    shares = {True: [], False: []}
    for key, is_guided in itertools.product(range(200), (True, False)):
        chosen = (
            crop.guided(Mask(values=mask), size=(24, 24), key=key)
            if is_guided
            else next(crop.crops((64, 64), size=(24, 24), key=key))
        )
        top, left, bottom, right = chosen.yxyx
        shares[is_guided].append(max(np.bincount(mask[top:bottom, left:right].ravel()) / 24**2))
    # A draw has less than 3/4 of one class with probability 15/41 (left edge at 31..40 and no wider): ten in a row fail
    # in about one of a hundred.
    assert np.mean(np.asarray(shares[True]) < 0.75) > 0.9 > 0.5 > np.mean(np.asarray(shares[False]) < 0.75)


def test_ignored_pixels_do_not_count_and_a_share_of_one_takes_the_first_crop():
    striped, plain = np.full((64, 64), 255, np.uint8), np.zeros((64, 64), np.uint8)
    striped[:, ::4], striped[:, 1::4] = 1, 2
    crop = RandomScaleCrop(scale=(64, 64), ratio=(1.0, 1.0))
    anything = RandomScaleCrop(scale=(64, 64), ratio=(1.0, 1.0), largest_share=1.0)
    for key in range(8):
        first = next(crop.crops((64, 64), size=SIZE, key=key))
        assert crop.guided(Mask(values=striped), size=SIZE, key=key) == first
        assert crop.guided(Mask(values=plain), size=SIZE, key=key) != first
        assert anything.guided(Mask(values=plain), size=SIZE, key=key) == first


def test_an_image_without_a_mask_takes_the_first_crop():
    image = Image.fromarray(RECORD["image"])
    for key in range(5):
        first = next(CROP.crops((37, 52), size=SIZE, key=key))
        assert CROP.moves((37, 52), size=SIZE, key=key) == first.moves((37, 52), size=SIZE)
        np.testing.assert_array_equal(CROP(image, size=SIZE, key=key), first(image, size=SIZE))
        (left,) = with_choices((CROP,), Boxes(yxyx=np.zeros((1, 4), np.float32)), size=SIZE, keys=(key,))
        assert left is CROP


def test_a_later_transform_chooses_by_the_mask_as_it_is_then():
    mask = Mask(values=MASK)
    flip, keys = RandomFlip(probability=1.0), (3, 4)
    chosen = with_choices((flip, CROP), mask, size=SIZE, keys=keys)
    assert chosen == (flip, CROP.guided(Mask(values=MASK[:, ::-1]), size=SIZE, key=4))


@pytest.mark.parametrize("image_size", [(42, 45), (1, 1), (1, 60), (60, 1), (300, 7)])
def test_the_recipe_gives_the_models_size_and_ignores_what_it_pads(image_size):
    mask = np.resize(MASK, image_size)
    transforms = (CROP, RandomFlip(), Pad(fill=(255, 255, 255)))
    for key in range(12):
        view = preprocess(example_of(mask), transforms=transforms, image_size=SIZE, key=key)
        values = view.targets.mask.values
        assert view.pixels.shape == (*SIZE, 3) and values.shape == SIZE
        np.testing.assert_array_equal((view.pixels == 255).all(axis=2), values == 255)


def test_image_and_mask_stay_together():
    for key in range(30):
        transforms = (CROP, RandomFlip(), Pad(fill=(250, 250, 250)))
        view = preprocess(example_of(MASK), transforms=transforms, image_size=SIZE, key=key)
        shown = np.rint(view.pixels[:, :, 0] / 10)
        values = view.targets.mask.values.astype(int)
        # Within a class all four pixels of an interpolation are of it; masks are sampled up to half a pixel away.
        inner = (values == np.roll(values, 1, 0)) & (values == np.roll(values, 1, 1))
        inner &= (values == np.roll(values, -1, 0)) & (values == np.roll(values, -1, 1)) & (values != 255)
        assert (shown[inner] == values[inner]).mean() > 0.9, key


def test_a_flip_left_to_the_device_is_undone_by_flipping():
    for key in range(20):
        left = preprocess_unflipped(example_of(MASK), transforms=RECIPE, image_size=SIZE, key=key)
        made = preprocess(example_of(MASK), transforms=RECIPE, image_size=SIZE, key=key)
        step = -1 if left.is_flipped else 1
        np.testing.assert_array_equal(left.pixels[:, ::step], made.pixels)
        np.testing.assert_array_equal(left.targets.mask.values[:, ::step], made.targets.mask.values)


def test_boxes_follow_the_scaled_box():
    move = ScaledBox(scaled_size=(20, 60), yxyx=(5, 10, 15, 40))
    assert move.size_after((10, 20)) == (10, 30)
    np.testing.assert_allclose(move.move_boxes(np.asarray([[1.0, 2.0, 3.0, 4.0]]), size=(10, 20)), [[-3, -4, 1, 2]])


def test_a_view_is_a_function_of_the_key():
    views = [
        preprocess(example_of(MASK), transforms=RECIPE, image_size=SIZE, key=key).pixels.tobytes()
        for key in (*range(8), *range(8))
    ]
    assert views[:8] == views[8:] and len(set(views)) == 8


def test_padding_is_nothing_after_normalisation():
    mean, std = np.asarray([0.485, 0.456, 0.406]), np.asarray([0.229, 0.224, 0.225])
    normalised = (np.asarray(Pad().fill) / 255 - mean) / std
    assert np.abs(normalised).max() < 0.01


def test_pad_keeps_what_is_large_enough():
    image = Image.fromarray(RECORD["image"])
    assert Pad()(image, size=(20, 30)) is image
    assert Pad()(image, size=(50, 30)).size == (52, 50)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomScaleCrop(scale=(0, 5)), "RandomScaleCrop.scale must be in 1..8192"),
        (lambda: RandomScaleCrop(ratio=(2.0, 0.5)), "RandomScaleCrop.ratio must be"),
        (lambda: RandomScaleCrop(ratio=(0.0, 1.0)), "RandomScaleCrop.ratio must be"),
        (lambda: RandomScaleCrop(ratio=(1.0, 5.0)), "RandomScaleCrop.ratio must be"),
        (lambda: RandomScaleCrop(largest_share=0.0), "RandomScaleCrop.largest_share must be"),
        (lambda: Pad(fill=(0, 256, 0)), "Pad.fill must be"),
    ],
)
def test_ranges_are_checked(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
