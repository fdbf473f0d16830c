"""Transforms: pure functions of (image, size, key), and what their settings do."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gauss_vit.data.images import image as images
from gauss_vit.data.images.transforms import (
    CenterCrop,
    RandomFlip,
    RandomResizedCrop,
    RandomRotation,
    RandomShift,
    Resize,
    ResizeCenterCrop,
    Transform,
)
from gauss_vit.errors import ConfigError

NOISE = Image.fromarray(np.random.RandomState(0).randint(0, 256, (20, 30, 3), np.uint8))
SIZE = (8, 12)
SIZING = [RandomResizedCrop(), Resize(), CenterCrop(), ResizeCenterCrop()]
KEEPING = [RandomFlip(), RandomShift(max_shift_px=2), RandomRotation(degrees=15.0)]
ALL = SIZING + KEEPING
RANDOM = [SIZING[0], *KEEPING]
RECORD = np.load(Path(__file__).parent / "augment.npz")


def by_name(transform):
    """Names a case by its class."""
    return type(transform).__name__


def results(transform, keys=range(64)):
    """The pixels for each key."""
    return [images.to_array(transform(NOISE, size=SIZE, key=key)) for key in keys]


@pytest.mark.parametrize("transform", ALL, ids=by_name)
def test_a_transform_is_a_hashable_pure_function_of_its_key(transform):
    assert isinstance(transform, Transform)
    assert hash(transform) == hash(dataclasses.replace(transform))
    np.testing.assert_array_equal(results(transform, range(8)), results(transform, range(8)))


@pytest.mark.parametrize("transform", RANDOM, ids=by_name)
def test_a_random_transform_depends_on_its_key(transform):
    assert len({result.tobytes() for result in results(transform)}) > 1


@pytest.mark.parametrize("transform", SIZING, ids=by_name)
@pytest.mark.parametrize("size", [(8, 12), (12, 8), (1, 1), (16, 16)])
def test_a_sizing_transform_gives_the_size_asked_for(transform, size):
    assert transform(NOISE, size=size, key=0).size == size[::-1]


@pytest.mark.parametrize("transform", KEEPING, ids=by_name)
def test_flip_shift_and_rotation_keep_the_size(transform):
    assert transform(NOISE, size=SIZE, key=0).size == NOISE.size


@pytest.mark.parametrize("transform", ALL, ids=by_name)
@pytest.mark.parametrize("image_size", [(1, 1), (1, 500), (500, 1), (3, 2)])
def test_tiny_and_extreme_images_have_the_same_sizes_and_colours_as_others(transform, image_size):
    result = transform(Image.new("RGB", image_size[::-1], (7, 7, 7)), size=SIZE, key=5)
    assert result.size == (SIZE[::-1] if transform in SIZING else image_size[::-1])
    fills = {getattr(transform, "fill", 0), 0 if isinstance(transform, CenterCrop) else 7}
    assert set(np.unique(images.to_array(result))) <= {7, *fills}


@pytest.mark.parametrize(("probability", "low", "high"), [(0.0, 0, 0), (1.0, 1000, 1000), (0.3, 227, 373)])
def test_flips_come_with_their_probability(probability, low, high):
    flipped = images.flip(NOISE)
    transform = RandomFlip(probability=probability)
    count = sum(transform(NOISE, size=SIZE, key=key) == flipped for key in range(1000))
    assert low <= count <= high  # Five standard deviations around 1000 p.


def test_every_shift_up_to_the_largest_is_reached():
    dot = Image.new("RGB", (9, 9))
    dot.putpixel((4, 4), (255, 255, 255))
    transform = RandomShift(max_shift_px=1)
    places = [np.argwhere(images.to_array(transform(dot, size=SIZE, key=key)).any(-1))[0] for key in range(200)]
    assert {tuple(place) for place in places} == {(row, column) for row in (3, 4, 5) for column in (3, 4, 5)}


def test_the_border_of_a_shift_has_the_fill():
    white = Image.new("RGB", (4, 4), "white")
    seen = {
        value
        for key in range(50)
        for value in np.unique(RandomShift(max_shift_px=2, fill=9)(white, size=SIZE, key=key))
    }
    assert seen == {9, 255}


def test_a_shift_of_at_most_zero_is_the_image():
    np.testing.assert_array_equal(results(RandomShift(max_shift_px=0), range(3)), [images.to_array(NOISE)] * 3)


def test_the_random_filter_is_bicubic_or_bilinear_of_the_same_crop():
    bicubic, bilinear, drawn = (
        results(RandomResizedCrop(interpolation=name)) for name in ("bicubic", "bilinear", "random")
    )
    is_bicubic = [np.array_equal(result, other) for result, other in zip(drawn, bicubic, strict=True)]
    is_bilinear = [np.array_equal(result, other) for result, other in zip(drawn, bilinear, strict=True)]
    assert all(first or second for first, second in zip(is_bicubic, is_bilinear, strict=True))
    assert 16 < sum(is_bicubic) < 48  # Five standard deviations around 32 are 12 to 52.


def test_a_crop_of_the_full_area_and_ratio_is_a_resize():
    transform = RandomResizedCrop(scale=(1.0, 1.0), ratio=(1.5, 1.5))
    np.testing.assert_array_equal(results(transform, [3])[0], results(Resize(), [0])[0])


def test_scale_and_ratio_change_the_crop():
    plain = results(RandomResizedCrop(), [1])[0]
    assert not np.array_equal(results(RandomResizedCrop(scale=(0.5, 1.0)), [1])[0], plain)
    assert not np.array_equal(results(RandomResizedCrop(ratio=(1.0, 4.0)), [1])[0], plain)


def test_a_crop_can_have_another_size_than_the_model():
    transform = RandomResizedCrop(output_size=(20, 14))
    model_sized = RandomResizedCrop()
    for key in range(8):
        result = transform(NOISE, size=SIZE, key=key)
        assert result.size == (14, 20)
        assert result == model_sized(NOISE, size=(20, 14), key=key)


@pytest.mark.parametrize("case", [case for case in RECORD.files if case.startswith("rotate:")])
def test_rotation_is_that_of_torchvision(monkeypatch, case):
    _, interpolation, angle = case.split(":")
    # A draw of 0 or 1 is an angle of minus or plus `degrees`; the same Pillow call leaves no pixel to differ.
    monkeypatch.setattr("gauss_vit.data.randomness.uniform", lambda key, draw: float(float(angle) > 0))
    transform = RandomRotation(degrees=abs(float(angle)), interpolation=interpolation)
    result = transform(Image.fromarray(RECORD["input"]), size=SIZE, key=0)
    np.testing.assert_array_equal(images.to_array(result), RECORD[case])


@pytest.mark.parametrize("case", [case for case in RECORD.files if case.startswith("crop:")])
def test_center_crop_is_that_of_torchvision(case):
    _, height, width = case.split(":")
    result = CenterCrop()(Image.fromarray(RECORD["input"]), size=(int(height), int(width)))
    np.testing.assert_array_equal(images.to_array(result), RECORD[case])


def test_angles_go_to_both_sides_and_corners_have_the_fill():
    bar = Image.new("RGB", (21, 21), (100, 100, 100))
    bar.paste((200, 200, 200), (9, 0, 12, 5))
    results = [images.to_array(RandomRotation(degrees=40.0, fill=9)(bar, size=SIZE, key=key)) for key in range(60)]
    columns = [np.argwhere(result[:6, :, 0] == 200)[:, 1].mean() for result in results]
    assert min(columns) < 7
    assert max(columns) > 13
    assert {value for result in results for value in np.unique(result)} == {9, 100, 200}


@pytest.mark.parametrize("kind", [Resize, ResizeCenterCrop])
def test_the_filter_changes_the_pixels(kind):
    assert not np.array_equal(results(kind(), [0])[0], results(kind(interpolation="bilinear"), [0])[0])


def test_the_whole_of_a_square_is_kept_at_crop_fraction_one():
    square = NOISE.crop((0, 0, 20, 20))
    whole, resized = (
        transform(square, size=(8, 8), key=0) for transform in (ResizeCenterCrop(crop_fraction=1.0), Resize())
    )
    assert whole == resized


def test_a_smaller_crop_fraction_looks_closer():
    ramp = Image.fromarray(np.repeat(np.arange(100, dtype=np.uint8)[None, :, None], 100, 0).repeat(3, 2))
    spans = [
        int(np.ptp(images.to_array(ResizeCenterCrop(crop_fraction=fraction)(ramp, size=(40, 40)))))
        for fraction in (1.0, 0.8, 0.5)
    ]
    # A crop of 40 px out of floor(40 / fraction) shows that share of the 0..99 ramp, to a pixel or two at each end.
    np.testing.assert_allclose(spans, [98, 79, 49], atol=2)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (RandomResizedCrop, {"scale": (0.0, 1.0)}),
        (RandomResizedCrop, {"scale": (0.9, 0.5)}),
        (RandomResizedCrop, {"scale": (0.5, 1.5)}),
        (RandomResizedCrop, {"ratio": (0.0, 1.0)}),
        (RandomResizedCrop, {"ratio": (2.0, 1.0)}),
        (RandomResizedCrop, {"output_size": (0, 8)}),
        (RandomRotation, {"degrees": -1.0}),
        (RandomRotation, {"degrees": 5.0, "fill": 300}),
        (RandomFlip, {"probability": -0.1}),
        (RandomFlip, {"probability": float("nan")}),
        (RandomShift, {"max_shift_px": -1}),
        (RandomShift, {"max_shift_px": 1, "fill": 256}),
        (ResizeCenterCrop, {"crop_fraction": 0.0}),
        (ResizeCenterCrop, {"crop_fraction": 1.1}),
    ],
)
def test_settings_out_of_range_are_refused_by_name(kind, settings):
    with pytest.raises(ConfigError, match=f"{kind.__name__}.{list(settings)[-1]} must be"):
        kind(**settings)
