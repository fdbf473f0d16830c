"""Masks and boxes follow the image: pixel by pixel under nearest sampling, and around what is painted."""

import jax
import numpy as np
import pytest
from PIL import Image

from gauss_vit.batches import Boxes, ClassTargets, Mask
from gauss_vit.data import pipeline, randomness
from gauss_vit.data.examples import Example
from gauss_vit.data.images import geometry
from gauss_vit.data.images.augment import AutoAugment, RandAugment
from gauss_vit.data.images.color import ColorJitter
from gauss_vit.data.images.geometry import Crop, Flip, Rotation, Scale, drawn_moves, move_targets
from gauss_vit.data.images.preprocess import preprocess, preprocess_unflipped
from gauss_vit.data.images.transforms import (
    CenterCrop,
    RandomFlip,
    RandomResizedCrop,
    RandomRotation,
    RandomShift,
    Resize,
    ResizeCenterCrop,
)
from gauss_vit.errors import ConfigError, DataError
from tests.data.samples import ListSource, encode

HEIGHT, WIDTH = 37, 52
IMAGE_SIZE = (24, 40)
RANDOM = np.random.RandomState(0)
INDICES = RANDOM.randint(1, 200, (HEIGHT, WIDTH)).astype(np.uint8)
RECTANGLES = np.asarray([[3, 5, 21, 30], [10, 28, 36, 50], [0, 0, 9, 12]], np.float32)

SHIFT, FLIP, ROTATION = RandomShift(max_shift_px=6), RandomFlip(), RandomRotation(degrees=40.0)
GEOMETRIC = {
    "crop": (RandomResizedCrop(),),
    "crop to another size": (RandomResizedCrop(output_size=(30, 20)), CenterCrop()),
    "resize": (Resize(),),
    "resize and crop": (ResizeCenterCrop(crop_fraction=0.8),),
    "shift": (SHIFT, Resize()),
    "flip": (RandomFlip(probability=1.0), CenterCrop()),
    "rotation": (ROTATION, ResizeCenterCrop(crop_fraction=1.0)),
    "all": (RandomResizedCrop(), FLIP, SHIFT, ROTATION, ColorJitter(brightness=0.3), FLIP),
}


def example_of(pixels, targets):
    return Example(image=encode(pixels), targets=targets, name="photo")


def painted(boxes, size=(HEIGHT, WIDTH)):
    """An image with each rectangle in a channel of its own."""
    image = np.zeros((*size, 3), np.uint8)
    for channel, (top, left, bottom, right) in enumerate(boxes.astype(int)):
        image[top:bottom, left:right, channel] = 255
    return image


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
@pytest.mark.parametrize("name", [name for name in GEOMETRIC if name != "all"])
def test_an_image_of_index_colours_and_its_mask_stay_equal_under_nearest_sampling(name, dtype, monkeypatch):
    resize = Image.Image.resize

    def nearest(image, size, resample):
        del resample
        return resize(image, size, resample=Image.Resampling.NEAREST)

    monkeypatch.setattr(Image.Image, "resize", nearest)
    image = np.repeat(INDICES[:, :, None], 3, axis=2)
    example = example_of(image, Mask(values=INDICES.astype(dtype), fill=0))
    for key in range(20):
        view = preprocess(example, transforms=GEOMETRIC[name], image_size=IMAGE_SIZE, key=key)
        assert view.targets.values.dtype == dtype
        for channel in range(3):
            np.testing.assert_array_equal(view.pixels[:, :, channel], view.targets.values)


@pytest.mark.parametrize("name", GEOMETRIC)
def test_boxes_of_painted_rectangles_hold_the_painted_pixels_within_a_pixel(name):
    example = example_of(painted(RECTANGLES), Boxes(yxyx=RECTANGLES))
    transforms = tuple(transform for transform in GEOMETRIC[name] if not isinstance(transform, ColorJitter))
    is_turned, num_seen = ROTATION in transforms, 0
    for key in range(30):
        view = preprocess(example, transforms=transforms, image_size=IMAGE_SIZE, key=key)
        for channel, box in enumerate(view.targets.yxyx):
            rows, columns = np.nonzero(view.pixels[:, :, channel] > 127)
            if not len(rows):
                assert is_turned or min(box[2:] - box[:2]) < 1  # Less than half a pixel is not bright.
                continue
            hull = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
            margins = np.asarray([-1, -1, 1, 1]) * (box - hull)
            # A box around a turned rectangle is larger than what is left of it where a crop takes its corners.
            assert (margins > -1.01).all() and (is_turned or (margins < 1.01).all()), (key, channel, box, hull)
            num_seen += 1
    assert num_seen > 30


@pytest.mark.parametrize("degrees", [0.0, 17.0, 90.0, -33.0])
def test_a_turned_box_that_stays_inside_is_the_hull_of_its_pixels(degrees):
    box = np.asarray([[18, 22, 30, 34]], np.float32)
    turned = Image.fromarray(painted(box, (48, 56))).rotate(degrees, resample=Image.Resampling.NEAREST)
    rows, columns = np.nonzero(np.asarray(turned)[:, :, 0])
    hull = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
    moved = move_targets(Boxes(yxyx=box), (Rotation(degrees=degrees),), image_size=(48, 56), name="x")
    np.testing.assert_allclose(moved.yxyx[0], hull, atol=1)


def test_a_flip_twice_is_the_identity():
    targets = {"mask": Mask(values=INDICES), "boxes": Boxes(yxyx=RECTANGLES), "label": np.int32(3)}
    twice = move_targets(targets, (Flip(), Flip()), image_size=(HEIGHT, WIDTH), name="x")
    assert jax.tree.structure(twice) == jax.tree.structure(targets)
    for moved, given in zip(jax.tree.leaves(twice), jax.tree.leaves(targets), strict=True):
        np.testing.assert_array_equal(moved, given)


def test_a_flip_left_to_the_device_makes_what_the_host_would_have_made():
    targets = {"mask": Mask(values=INDICES), "boxes": Boxes(yxyx=RECTANGLES)}
    example = example_of(np.repeat(INDICES[:, :, None], 3, axis=2), targets)
    transforms = (RandomResizedCrop(), FLIP, ColorJitter(contrast=0.2))
    seen = set()
    for key in range(12):
        settings = {"transforms": transforms, "image_size": IMAGE_SIZE, "key": key}
        left, made = preprocess_unflipped(example, **settings), preprocess(example, **settings)
        seen.add(left.is_flipped)
        flip = (Flip(),) if left.is_flipped else ()
        expected = move_targets(left.targets, flip, image_size=IMAGE_SIZE, name="x")
        np.testing.assert_array_equal(expected["mask"].values, made.targets["mask"].values)
        np.testing.assert_allclose(expected["boxes"].yxyx, made.targets["boxes"].yxyx, atol=1e-4)
    assert seen == {False, True}


@pytest.mark.parametrize("size", [(7, 3), (16, 16), (11, 104)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_a_scaled_mask_holds_the_pixel_under_each_new_centre(size, dtype):
    rows, columns = ((np.arange(new) + 0.5) * old / new for new, old in zip(size, INDICES.shape, strict=True))
    # A centre on the border of two pixels takes either.
    clear_rows, clear_columns = (np.abs(places - places.round()) > 1e-6 for places in (rows, columns))
    is_clear = clear_rows[:, None] & clear_columns
    scaled = Scale(size=size).move_mask(INDICES.astype(dtype), fill=0)
    assert (scaled.shape, scaled.dtype) == (size, dtype)
    expected = INDICES[rows.astype(int)[:, None], columns.astype(int)]
    np.testing.assert_array_equal(scaled[is_clear], expected[is_clear])
    assert is_clear.mean() > 0.6


@pytest.mark.parametrize("box", [(-3, -2, 4, 5), (2, 3, 40, 60), (-5, 4, 60, 9), (40, 60, 44, 66), (-9, -9, -2, -1)])
def test_pixels_from_outside_take_the_value_that_the_mask_names(box):
    top, left, bottom, right = box
    expected = np.pad(INDICES, 70, constant_values=255)[top + 70 : bottom + 70, left + 70 : right + 70]
    np.testing.assert_array_equal(Crop(yxyx=box).move_mask(INDICES, fill=255), expected)


def test_a_box_that_leaves_the_image_is_a_row_of_zeros_in_its_place():
    boxes = np.asarray([[0, 0, 4, 4], [2, 2, 12, 12], [30, 40, 37, 52], [0, 0, 0, 0]], np.float32)
    moves = (Crop(yxyx=(5, 5, 25, 35)), Rotation(degrees=30.0), Flip(), Scale(size=(40, 60)))
    moved = move_targets(Boxes(yxyx=boxes), moves, image_size=(HEIGHT, WIDTH), name="x").yxyx
    assert moved.dtype == np.float32
    assert not moved[[0, 2, 3]].any()
    assert (moved[1, 2:] > moved[1, :2]).all() and (moved >= 0).all() and (moved[:, 2:] <= (40, 60)).all()


@pytest.mark.parametrize("name", GEOMETRIC)
def test_moves_end_at_the_size_of_the_pixels(name):
    keys = [randomness.fold(3, place) for place in range(len(GEOMETRIC[name]))]
    size = (HEIGHT, WIDTH)
    for move in drawn_moves(GEOMETRIC[name], size, size=IMAGE_SIZE, keys=keys):
        size = move.size_after(size)
    assert size == IMAGE_SIZE


@pytest.mark.parametrize("transform", [RandAugment(), AutoAugment()])
def test_a_transform_for_images_alone_is_refused_before_anything_is_read(transform):
    source = GeometrySource((b"",) * 4)
    with pytest.raises(ConfigError, match=f"{type(transform).__name__} is for images alone.*remove"):
        pipeline.train_batches(
            source,
            transforms=(Resize(), transform),
            image_size=IMAGE_SIZE,
            batch_size=4,
            seed=0,
            start_step=0,
            num_steps=1,
            num_threads=0,
        )
    geometry.require_moves((Resize(), transform), ClassTargets(label=np.int32(0)))


def test_a_mask_of_another_size_than_its_image_names_the_example():
    example = example_of(np.zeros((9, 7, 3), np.uint8), Mask(values=np.zeros((7, 9), np.uint8)))
    with pytest.raises(DataError, match="photo: its mask is 7 x 9 px, the image is 9 x 7 px"):
        preprocess(example, transforms=(Resize(),), image_size=IMAGE_SIZE, key=0)


class GeometrySource(ListSource):
    """Images with masks of their brightness, and two boxes."""

    @property
    def padding_targets(self):
        return {"mask": Mask(values=np.zeros((1, 1), np.int32)), "boxes": Boxes(yxyx=np.zeros((2, 4), np.float32))}

    def __getitem__(self, index):
        example = super().__getitem__(index)
        values = INDICES[: 20 + index, :30].astype(np.int32)
        boxes = np.asarray([[0, 0, 20, 30], [5, 5, 9, 9]], np.float32)
        targets = {"mask": Mask(values=values), "boxes": Boxes(yxyx=boxes)}
        return Example(image=example.image, targets=targets, name=example.name)


def test_masks_and_boxes_are_batched_at_the_models_size():
    source = GeometrySource(tuple(encode(np.zeros((20 + index, 30, 3), np.uint8)) for index in range(5)))
    batches = list(
        pipeline.eval_batches(source, transform=Resize(), image_size=IMAGE_SIZE, batch_size=4, num_threads=2)
    )
    mask, boxes = batches[0].targets["mask"], batches[0].targets["boxes"]
    assert (mask.values.shape, mask.values.dtype) == ((4, *IMAGE_SIZE), np.int32)
    expected = [[0, 0, 24 * 20 / (20 + index), 40] for index in range(4)]
    np.testing.assert_allclose(boxes.yxyx[:, 0], expected, rtol=1e-6)
    scaled = Scale(size=IMAGE_SIZE).move_mask(source[2].targets["mask"].values, fill=0)
    np.testing.assert_array_equal(mask.values[2], scaled)
    assert not batches[1].targets["boxes"].yxyx[1:].any() and not batches[1].targets["mask"].values[1:].any()
